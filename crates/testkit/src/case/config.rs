//! The proxy's configuration for a case.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Case, Filter, run::Stage};
use crate::config::{self, set};

/// The configuration of a proxy that serves one case with one engine.
pub(super) fn of(case: &Case, engine: &str, module: &Path, stage: &Stage) -> Value {
    let names: Vec<String> = (1..=case.filters.len())
        .map(|number| name(case, number))
        .collect();
    let filters: Map<String, Value> = names
        .iter()
        .zip(&case.filters)
        .map(|(name, filter)| {
            (
                name.clone(),
                json!({ "config": block(case, name, filter, engine, module) }),
            )
        })
        .collect();
    json!({
        "listeners": [
            { "address": "127.0.0.1:0" },
            { "address": "127.0.0.1:0", "tls": {
                "certificate": stage.identity.certificate,
                "private_key": stage.identity.private_key,
            } },
        ],
        // One VM, so that what a case keeps in memory is there at its next request.
        "workers": 1,
        "watch": false,
        "upstreams": {
            "origin": stage.origin.url(),
            "refused": format!("http://{}", stage.refused),
            "blackhole": format!("http://{}", stage.blackhole),
        },
        "filters": filters,
        "routes": [{
            "name": case.name,
            "match": { "path_prefix": case.path() },
            "filters": names,
            "upstream": "origin",
        }],
    })
}

/// The first filter has the case's name, the others a number behind it.
fn name(case: &Case, number: usize) -> String {
    if number == 1 {
        case.name.clone()
    } else {
        format!("{}-{number}", case.name)
    }
}

fn block(case: &Case, name: &str, filter: &Filter, engine: &str, module: &Path) -> Value {
    let mut block = config::filter(name, module, engine);
    set(
        &mut block,
        "vm_config.vm_id",
        json!(filter.vm_id.as_ref().unwrap_or(&case.name)),
    );
    let given = [
        ("configuration", &filter.configuration),
        ("root_id", &filter.root_id),
        ("vm_config.configuration", &filter.vm_configuration),
    ];
    for (path, value) in given {
        if let Some(value) = value {
            set(&mut block, path, Value::String(value.clone()));
        }
    }
    for (path, value) in &filter.keys {
        set(&mut block, path, value.clone());
    }
    block
}
