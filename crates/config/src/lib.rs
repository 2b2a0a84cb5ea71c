//! YAML to typed configuration, one schema for both proxies.
