//! The files of a private server.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

use crate::records::Records;
use crate::{Installation, Settings};

/// Everybody here may do everything.
const IP_ALLOW: &str = "ip_allow:\n  - apply: in\n    ip_addrs: 0/0\n    action: allow\n    methods: ALL\n";

/// Files that the server warns about if they are missing.
const WITHOUT_CONTENT: [(&str, &str); 9] = [
    ("cache.config", ""),
    ("hosting.config", ""),
    ("parent.config", ""),
    ("socks.config", ""),
    ("splitdns.config", ""),
    ("ssl_multicert.config", ""),
    ("volume.config", ""),
    ("logging.yaml", "logging: {}\n"),
    ("sni.yaml", "sni: []\n"),
];

/// Kinds of messages; the debug ones, of which there can be many, go to standard error alone.
const MESSAGES: [&str; 7] = [
    "status",
    "note",
    "warning",
    "error",
    "fatal",
    "alert",
    "emergency",
];

/// Writes all of them below `root`, an absolute path.
pub(crate) fn write(
    root: &Path,
    settings: &Settings,
    installation: &Installation,
    http: u16,
    https: Option<u16>,
) -> Result<()> {
    let etc = root.join("etc");
    for folder in ["etc/body_factory", "run", "log", "cache"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    modules(root, settings, installation)?;
    put(&root.join("runroot.yaml"), runroot(root, settings, installation))?;

    for (name, content) in WITHOUT_CONTENT {
        put(&etc.join(name), content)?;
    }
    put(&etc.join("ip_allow.yaml"), IP_ALLOW)?;
    let cache = root.join("cache");
    let megabytes = settings.cache_megabytes;
    put(
        &etc.join("storage.config"),
        format!("{} {megabytes}M\n", cache.display()),
    )?;
    put(&etc.join("plugin.config"), lines(&settings.plugins))?;
    put(&etc.join("remap.config"), lines(&settings.remap))?;
    if let Some((certificate, key)) = &settings.tls {
        let line = format!(
            "dest_ip=* ssl_cert_name={} ssl_key_name={}\n",
            certificate.display(),
            key.display()
        );
        put(&etc.join("ssl_multicert.config"), line)?;
    }
    let (name, text) = records(settings, installation, &etc, http, https).file(installation.version());
    put(&etc.join(name), text)?;
    for (name, content) in &settings.files {
        put(&etc.join(name), content)?;
    }
    Ok(())
}

fn records(
    settings: &Settings,
    installation: &Installation,
    etc: &Path,
    http: u16,
    https: Option<u16>,
) -> Records {
    let mut records = Records::default();
    let mut ports = format!("{http}:ipv4:ip-in=127.0.0.1:proto=http;http2");
    if let Some(https) = https {
        ports.push_str(&format!(" {https}:ipv4:ip-in=127.0.0.1:ssl"));
    }
    records.set("proxy.config.http.server_ports", ports);
    // The user that starts it, not another one that could not read the folder.
    records.set("proxy.config.admin.user_id", "#-1");
    records.set("proxy.config.exec_thread.autoconfig", 0);
    records.set(
        "proxy.config.exec_thread.limit",
        i64::try_from(settings.threads).unwrap_or(1),
    );
    // Without a helper a crash is told on standard error, where whoever looks for it looks first.
    records.set("proxy.config.crash_log_helper", "NULL");
    records.set("proxy.config.net.connections_throttle", 8000);

    for kind in MESSAGES {
        records.set(&format!("proxy.config.diags.output.{kind}"), "LE");
    }
    for kind in ["diag", "debug"] {
        records.set(&format!("proxy.config.diags.output.{kind}"), "E");
    }
    records.set("proxy.config.diags.show_location", 0);
    records.set(
        "proxy.config.diags.debug.enabled",
        i64::from(settings.debug_tags.is_some()),
    );
    if let Some(tags) = &settings.debug_tags {
        records.set("proxy.config.diags.debug.tags", tags.as_str());
    }

    let templates = installation.configuration().join("body_factory");
    let templates = if templates.is_dir() {
        templates
    } else {
        etc.join("body_factory")
    };
    records.set(
        "proxy.config.body_factory.template_sets_dir",
        templates.display().to_string(),
    );
    records.set("proxy.config.http.cache.http", i64::from(settings.cache));
    // A transform that waits for the body would otherwise wait for a client that waits for a 100.
    records.set("proxy.config.http.send_100_continue_response", 1);
    records.set("proxy.config.http.insert_request_via_str", 0);
    records.set("proxy.config.http.insert_response_via_str", 0);
    records.set("proxy.config.http.response_server_enabled", 0);
    records.set("proxy.config.url_remap.pristine_host_hdr", 1);
    records.extend(&settings.records);
    records
}

/// A folder of our own only if there is something to put there.
fn modules(root: &Path, settings: &Settings, installation: &Installation) -> Result<()> {
    if settings.modules.is_empty() {
        return Ok(());
    }
    let folder = root.join("modules");
    // Left from an earlier server of the same folder.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let installed = fs::read_dir(installation.plugins())
        .with_context(|| format!("cannot read {}", installation.plugins().display()))?;
    for entry in installed {
        let entry = entry?;
        let name = entry.file_name();
        if settings.modules.iter().all(|(other, _)| **other != *name) {
            symlink(entry.path(), folder.join(name))?;
        }
    }
    for (name, library) in &settings.modules {
        let library = fs::canonicalize(library).with_context(|| format!("no {}", library.display()))?;
        symlink(library, folder.join(name))?;
    }
    Ok(())
}

fn runroot(root: &Path, settings: &Settings, installation: &Installation) -> String {
    let prefix = installation.prefix();
    let modules = if settings.modules.is_empty() {
        installation.plugins().to_owned()
    } else {
        root.join("modules")
    };
    let entries = [
        ("prefix", root.to_owned()),
        ("exec_prefix", prefix.to_owned()),
        ("bindir", prefix.join("bin")),
        ("sbindir", prefix.join("sbin")),
        ("sysconfdir", root.join("etc")),
        ("datadir", root.join("cache")),
        ("includedir", prefix.join("include")),
        ("libdir", installation.libraries().to_owned()),
        ("libexecdir", modules),
        ("localstatedir", root.to_owned()),
        ("runtimedir", root.join("run")),
        ("logdir", root.join("log")),
        ("cachedir", root.join("cache")),
    ];
    entries
        .iter()
        .map(|(name, path)| format!("{name}: {}\n", path.display()))
        .collect()
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Writes a file in one step, as an editor does.
pub(crate) fn put(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, content)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
