//! The calls that guests make: named upstreams, HTTP/1.1, HTTP/2, TLS, connection pools.
