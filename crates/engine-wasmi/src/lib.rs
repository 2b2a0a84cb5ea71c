//! wasmi behind the engine seam.
