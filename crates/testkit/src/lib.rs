//! Real origin, real proxy and guests built from source, for the tests.
