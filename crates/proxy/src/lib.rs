//! The embedded proxy: listeners, filter chain, body pump, reload.
