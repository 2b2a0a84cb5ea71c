//! Pieces of configurations, as JSON, which is YAML.

use std::path::Path;

use serde_json::{Map, Value, json};

/// A configuration that is put together: one listener, one upstream `origin`, and routes.
#[derive(Clone, Debug)]
pub struct Config {
    value: Value,
}

impl Config {
    /// One plain listener on a free port, two workers, no watching of files, and this upstream under `origin`.
    pub fn new(origin: &str) -> Self {
        let value = json!({
            "listeners": [{ "address": "127.0.0.1:0" }],
            "workers": 2,
            "watch": false,
            "upstreams": { "origin": origin },
            "filters": {},
            "routes": [],
        });
        Self { value }
    }

    /// Sets a key; dots lead into maps.
    #[must_use]
    pub fn set(mut self, path: &str, value: Value) -> Self {
        set(&mut self.value, path, value);
        self
    }

    /// Has the trailers of clients and of `origin` passed on over every protocol.
    #[must_use]
    pub fn with_trailers(mut self) -> Self {
        for listener in self.value["listeners"].as_array_mut().into_iter().flatten() {
            listener["trailers"] = json!("pass");
        }
        let origin = &mut self.value["upstreams"]["origin"];
        if let Some(url) = origin.as_str() {
            let address = url.trim_start_matches("http://").to_owned();
            *origin = json!({ "endpoints": [address], "trailers": "pass" });
        }
        self
    }

    /// Adds a filter; `block` is what stands under `config:`.
    #[must_use]
    pub fn filter(mut self, name: &str, block: Value) -> Self {
        self.value["filters"][name]["config"] = block;
        self
    }

    /// Adds a route to the upstream `origin`, through filters.
    #[must_use]
    pub fn route(self, prefix: &str, filters: &[&str]) -> Self {
        self.route_with(prefix, json!({ "filters": filters }))
    }

    /// Adds a route with other keys than that, to the upstream `origin` unless they say otherwise.
    #[must_use]
    pub fn route_with(mut self, prefix: &str, keys: Value) -> Self {
        let mut route = json!({ "match": { "path_prefix": prefix }, "upstream": "origin" });
        if let Value::Object(keys) = keys {
            for (key, value) in keys {
                route[key] = value;
            }
        }
        if let Value::Array(routes) = &mut self.value["routes"] {
            routes.push(route);
        }
        self
    }

    /// The whole.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// A filter's block: this module on this engine, in a VM of its own, closed on failure.
pub fn filter(name: &str, module: &Path, engine: &str) -> Value {
    json!({
        "name": name,
        "fail_open": false,
        "vm_config": { "runtime": engine, "vm_id": name, "code": { "local": { "filename": module } } },
    })
}

/// Sets a key of a block; dots lead into maps, which are made where they are missing.
pub fn set(block: &mut Value, path: &str, value: Value) {
    let mut place = block;
    for key in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[key];
    }
    *place = value;
}
