use std::collections::HashSet;

use weir_engine::{Signature, Trap, ValType};

use super::*;
use crate::import;

/// Every import of the standard sets as the specifications write it, module by module.
const SPECIFICATION: &str = include_str!("specification.txt");

fn standard() -> Vec<&'static Import> {
    ImportSets::standard()
        .iter()
        .flat_map(|set| set.imports)
        .collect()
}

#[test]
fn the_standard_sets_offer_what_the_specifications_say() {
    let written = standard().into_iter().map(|import| {
        let signatures: Vec<_> = import
            .signatures()
            .map(|signature| signature.to_string())
            .collect();
        format!(
            "{}.{} {}",
            import.modules().join(","),
            import.name(),
            signatures.join(" or ")
        )
    });
    assert_eq!(
        written.collect::<Vec<_>>(),
        SPECIFICATION.lines().collect::<Vec<_>>()
    );
}

#[test]
fn names_are_unique_in_a_composition() {
    let names: HashSet<_> = standard().iter().map(|import| import.name()).collect();
    assert_eq!(names.len(), standard().len());
    let capabilities: Vec<_> = ImportSets::standard().capability_names().collect();
    assert_eq!(capabilities.len(), 43 + 3 + 46);
}

#[test]
fn hostcalls_answer_with_a_status_and_take_64_bits_only_for_metric_values() {
    let hostcalls = standard()
        .into_iter()
        .filter(|import| import.name().starts_with("proxy_"));
    for import in hostcalls {
        let Signature { params, result } = import.signature();
        assert_eq!(result, Some(ValType::I32), "{}", import.name());
        let metric = matches!(import.name(), "proxy_increment_metric" | "proxy_record_metric");
        assert_eq!(params.contains(&ValType::I64), metric, "{}", import.name());
    }
}

#[test]
fn the_functions_that_other_hosts_register_with_too_few_parameters_have_all() {
    let parameters = |name| {
        let found = ImportSets::standard().find("wasi_unstable", name);
        found.map(|(_, import)| import.signature().params.len())
    };
    assert_eq!(parameters("path_link"), Some(7));
    assert_eq!(parameters("path_symlink"), Some(5));
    assert_eq!(parameters("path_open"), Some(9));
}

/// A set of one import, or of two.
macro_rules! set {
    ($set:ident, $name:literal, [$($import:expr),*]) => {
        struct $set;

        impl ImportSet for $set {
            type Vm = ();
            type Stream = ();
            const NAME: &'static str = $name;
            const GROUP: &'static str = "hostcalls";
            const IMPORTS: &'static [Import] = &[$($import),*];

            fn vm(&self, _: &Arc<VmSpec>) {}

            fn stream(&self, (): &mut ()) {}
        }
    };
}

fn nothing<S: ImportSet>(_: &mut SetCall<'_, S>) -> Result<(), Trap> {
    Ok(())
}

set!(One, "one", [import!(Self, &["x"], "f", nothing::<Self>)]);
set!(SameName, "one", [import!(Self, &["x"], "g", nothing::<Self>)]);
set!(
    SameImport,
    "two",
    [import!(Self, &["y", "x"], "f", nothing::<Self>).with_capability("h")]
);
set!(
    SameCapability,
    "two",
    [import!(Self, &["y"], "f", nothing::<Self>)]
);
set!(
    Shared,
    "shared",
    [
        import!(Self, &["z"], "read", nothing::<Self>).with_capability("disk"),
        import!(Self, &["z"], "write", nothing::<Self>).with_capability("disk")
    ]
);

fn conflict(composer: Composer) -> String {
    composer
        .compose()
        .err()
        .map(|conflict| conflict.to_string())
        .unwrap_or_default()
}

#[test]
fn sets_that_contradict_each_other_are_refused_by_name() {
    let composer = || ImportSets::composer().with(One);
    assert_eq!(conflict(composer()), "");
    assert_eq!(
        conflict(composer().with(SameName)),
        "the import sets one and one both have one"
    );
    assert_eq!(
        conflict(composer().with(SameImport)),
        "the import sets one and two both have f"
    );
    assert_eq!(
        conflict(composer().with(SameCapability)),
        "the import sets one and two both have f"
    );
}

#[test]
fn imports_of_one_set_may_share_a_capability() {
    let sets = ImportSets::composer().with(Shared).compose().unwrap();
    assert_eq!(sets.capability_names().filter(|name| *name == "disk").count(), 1);
    let ids: HashSet<_> = ["read", "write"]
        .into_iter()
        .filter_map(|name| sets.funcs().iter().find(|func| func.name == name))
        .map(|func| func.id)
        .collect();
    assert_eq!(ids.len(), 1);
}
