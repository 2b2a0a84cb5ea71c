//! `vm_config:`, `capability_restriction_config:` and `limits:`.

use super::bytes::configuration;
use super::{or, runtime, snapshot};
use crate::read::{Field, Keys, quoted, unknown_of_many};
use crate::{CodeSource, Runtime, VmConfig, VmLimits};

/// The configuration of a VM, from the keys of a filter's block.
pub(super) fn read(block: &Keys<'_>, limits: VmLimits, module_file: u64, strict: bool) -> Option<VmConfig> {
    let snapshot = block.take("snapshot").and_then(|field| snapshot::read(&field));
    let allowed_capabilities = block
        .take("capability_restriction_config")
        .and_then(|field| restriction(&field));
    let keys = block.require("vm_config")?.keys()?;
    let runtime = or(keys.take("runtime"), Runtime::default(), |field| {
        runtime::read(field)
    });
    let vm_id = or(keys.take("vm_id"), String::new(), Field::string);
    let vm_configuration = or(keys.take("configuration"), Vec::new(), configuration);
    let allow_precompiled = or(keys.take("allow_precompiled"), false, Field::boolean);
    let environment = or(keys.take("environment_variables"), Vec::new(), environment);
    let code = keys.require("code").and_then(|field| code(&field));
    // Meant for code from the network, where Envoy can either wait for it or refuse the configuration.
    keys.take("nack_on_code_cache_miss")
        .and_then(|field| field.boolean());
    keys.finish();
    Some(VmConfig {
        runtime,
        vm_id,
        configuration: vm_configuration,
        allow_precompiled,
        environment,
        code: Some(code?),
        allowed_capabilities,
        module_file,
        limits,
        strict,
        snapshot,
    })
}

fn code(field: &Field<'_>) -> Option<CodeSource> {
    let keys = field.keys()?;
    if let Some(remote) = keys.take("remote") {
        remote.report("modules are not loaded from the network; expected local.filename");
        return None;
    }
    let local = keys.require("local").and_then(|field| field.keys());
    keys.finish();
    let local = local?;
    let file = local.require("filename").and_then(|field| field.regular_file());
    local.finish();
    file.map(CodeSource::Local)
}

/// Values from the host's environment first, then those written. A variable that the host has not is left out.
fn environment(field: &Field<'_>) -> Option<Vec<(String, String)>> {
    let keys = field.keys()?;
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut add = |field: &Field<'_>, name: &str, value: Option<String>| {
        if name.is_empty() || name.contains(['=', '\0']) {
            field.report(format!("expected the name of a variable, found {}", quoted(name)));
        } else if names.iter().any(|known| known == name) {
            field.report(format!("the variable {} is given twice", quoted(name)));
        } else if value.as_ref().is_some_and(|value| value.contains('\0')) {
            field.report("expected a value without NUL character");
        } else {
            names.push(name.to_owned());
            variables.extend(value.map(|value| (name.to_owned(), value)));
        }
    };
    for field in keys
        .take("host_env_keys")
        .and_then(|field| field.items())
        .unwrap_or_default()
    {
        if let Some(name) = field.scalar("the name of a variable") {
            add(&field, name, field.document.session.environment.variable(name));
        }
    }
    for (name, field) in keys
        .take("key_values")
        .and_then(|field| field.named())
        .unwrap_or_default()
    {
        let value = if field.node.is_null() {
            Some(String::new())
        } else {
            field.string()
        };
        add(&field, name, value);
    }
    keys.finish();
    Some(variables)
}

/// The names allowed; `None` for all. A list that is there but empty means all too, as in Envoy.
fn restriction(field: &Field<'_>) -> Option<Vec<String>> {
    let keys = field.keys()?;
    let allowed = keys.take("allowed_capabilities");
    keys.finish();
    let mut names = capabilities(&allowed?)?;
    names.sort();
    names.dedup();
    (!names.is_empty()).then_some(names)
}

/// A list (Traffic Server's form) or a map from name to an empty map (Envoy's).
fn capabilities(field: &Field<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    if field.is_list() {
        for item in field.items()? {
            names.extend(
                item.scalar("the name of a capability")
                    .and_then(|name| capability(&item, name)),
            );
        }
        return Some(names);
    }
    for (name, field) in field.named()? {
        // Reserved by Envoy for settings of which there are none yet.
        if let Some(keys) = field.keys() {
            keys.finish();
        }
        names.extend(capability(&field, name));
    }
    Some(names)
}

/// The name of an import or export, if the environment knows it.
fn capability(field: &Field<'_>, name: &str) -> Option<String> {
    let known = field.document.session.environment.capabilities();
    if let Some(known) = known.filter(|known| !known.contains(&name)) {
        field.report(unknown_of_many(
            "capability",
            name,
            known,
            "a hostcall, a callback or a WASI function",
        ));
        return None;
    }
    Some(name.to_owned())
}
