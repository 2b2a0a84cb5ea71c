//! The proxies' configurations for a case.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Case, Filter, run::Stage};
use crate::config::{self, set};
use crate::{AtsConfig, Mode};

/// The configuration of a proxy that serves one case with one engine.
pub(super) fn of(case: &Case, engine: &str, module: &Path, stage: &Stage) -> Value {
    let blocks = blocks(case, engine, module);
    let names: Vec<Value> = blocks.iter().map(|block| block["name"].clone()).collect();
    let filters: Map<String, Value> = blocks
        .into_iter()
        .enumerate()
        .map(|(index, block)| (name(case, index + 1), json!({ "config": block })))
        .collect();
    json!({
        "listeners": [
            { "address": "127.0.0.1:0", "trailers": "pass" },
            { "address": "127.0.0.1:0", "trailers": "pass", "tls": {
                "certificate": stage.identity.certificate,
                "private_key": stage.identity.private_key,
            } },
        ],
        // One VM, so that what a case keeps in memory is there at its next request.
        "workers": 1,
        "watch": false,
        "start": "lenient",
        "upstreams": upstreams(stage),
        "filters": filters,
        "routes": [{
            "name": case.name,
            "match": { "path_prefix": case.path() },
            "filters": names,
            "upstream": "origin",
        }],
    })
}

/// The same for Traffic Server. A filter's document has no proxy's around it: the upstreams are in each.
pub(super) fn ats(case: &Case, engine: &str, module: &Path, stage: &Stage) -> AtsConfig {
    let mut config = AtsConfig::new(stage.origin.address());
    config.tls = Some(stage.identity.clone());
    if case.remap {
        config.mode = Mode::Remap;
    }
    for mut block in blocks(case, engine, module) {
        set(&mut block, "upstreams", upstreams(stage));
        config = config.filter(block);
    }
    config
}

fn upstreams(stage: &Stage) -> Value {
    json!({
        "origin": { "endpoints": [stage.origin.address().to_string()], "trailers": "pass" },
        "refused": format!("http://{}", stage.refused),
        "blackhole": format!("http://{}", stage.blackhole),
    })
}

/// The filters, in order.
fn blocks(case: &Case, engine: &str, module: &Path) -> Vec<Value> {
    let filters = case.filters.iter().enumerate();
    filters
        .map(|(index, filter)| block(case, &name(case, index + 1), filter, engine, module))
        .collect()
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
