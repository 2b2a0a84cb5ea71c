//! Remap rules by the thousand: the time until the server serves, its memory, and a reload in which one rule has changed.
//!
//! Each rule has a file of its own, whose one job is a header on the response with the rule's number.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_ats_server::{AtsServer, Settings};

use super::Origin;
use super::subject::Plugin;
use crate::sh;

/// Rules of a server.
const RULES: [usize; 4] = [10, 100, 1_000, 10_000];

/// Rules with Lua at most: a thousand scripts take hundreds of MiB and a reload of 10 s already.
const MOST_LUA: usize = 1_000;

/// The longest that a start or a reload may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The wait before the next look at the answer of a changed rule.
const PAUSE: Duration = Duration::from_millis(10);

/// The costs of one server.
struct Figures {
    ready: Duration,
    resident: u64,
    reload: Option<Duration>,
}

/// Measures, and prints a Markdown table row by row. No server has more than `most` rules.
pub fn run(library: &Path, most: usize) -> Result<()> {
    let origin = Origin::start()?;
    println!(
        "\n| plugin | rules | ready after | memory | a changed rule serves after |\n|---|---|---|---|---|"
    );
    for rules in RULES.into_iter().filter(|rules| *rules <= most) {
        for plugin in Plugin::ALL {
            if plugin == Plugin::Lua && rules > MOST_LUA {
                continue;
            }
            let figures = measure(plugin, rules, library, &origin)
                .with_context(|| format!("{} with {rules} rules", plugin.label()))?;
            let seconds = |took: Duration| format!("{:.2} s", took.as_secs_f64());
            println!(
                "| {} | {rules} | {} | {} MiB | {} |",
                plugin.label(),
                seconds(figures.ready),
                figures.resident >> 20,
                figures.reload.map_or("-".to_owned(), seconds),
            );
        }
    }
    Ok(())
}

fn measure(plugin: Plugin, rules: usize, library: &Path, origin: &Origin) -> Result<Figures> {
    let settings = settings(plugin, rules, library, origin);
    let begun = Instant::now();
    let server = AtsServer::start(&settings)?;
    let ready = begun.elapsed();
    if plugin == Plugin::None {
        return Ok(Figures {
            ready,
            resident: server.resident()?.0,
            reload: None,
        });
    }
    for rule in [0, rules / 2, rules - 1] {
        let answer = fetch(&server, rule)?;
        ensure!(
            answer.contains(&format!("x-rule: {rule}\r\n")),
            "rule {rule}: {answer}\n{}",
            server.log_text()
        );
    }
    let resident = server.resident()?.0;
    let changed = rules / 2;
    server.write(&name(plugin, changed), content(plugin, "changed"))?;
    // The server reads rules again only where their file is another one.
    let remap = server.etc().join("remap.config");
    server.write("remap.config", std::fs::read(&remap)?)?;
    let begun = Instant::now();
    server.ctl(&["config", "reload"])?;
    while !fetch(&server, changed)?.contains("x-rule: changed\r\n") {
        ensure!(
            begun.elapsed() < PATIENCE,
            "the changed rule does not serve\n{}",
            server.log_text()
        );
        std::thread::park_timeout(PAUSE);
    }
    Ok(Figures {
        ready,
        resident,
        reload: Some(begun.elapsed()),
    })
}

fn settings(plugin: Plugin, rules: usize, library: &Path, origin: &Origin) -> Settings {
    let mut settings = Settings::new()
        .threads(2)
        .debug_tags(None)
        .managed(true)
        .cache(false)
        .patience(PATIENCE)
        .module("wasm.so", library);
    for rule in 0..rules {
        let name = name(plugin, rule);
        let parameter = match plugin {
            Plugin::None => String::new(),
            Plugin::HeaderRewrite => format!(" @plugin=header_rewrite.so @pparam={name}"),
            Plugin::Lua => format!(" @plugin=tslua.so @pparam={name}"),
            Plugin::Wasm => format!(" @plugin=wasm.so @pparam={name}"),
        };
        settings = settings.remap(format!(
            "map http://r{rule}.test/ http://{}/{parameter}",
            origin.address
        ));
        if plugin != Plugin::None {
            settings = settings.file(&name, content(plugin, &rule.to_string()));
        }
    }
    settings
}

fn name(plugin: Plugin, rule: usize) -> String {
    let extension = match plugin {
        Plugin::None | Plugin::HeaderRewrite => "conf",
        Plugin::Lua => "lua",
        Plugin::Wasm => "yaml",
    };
    format!("rule{rule}.{extension}")
}

/// The file of a rule that shows `value`.
fn content(plugin: Plugin, value: &str) -> String {
    match plugin {
        Plugin::None => String::new(),
        Plugin::HeaderRewrite => format!("cond %{{SEND_RESPONSE_HDR_HOOK}}\nset-header x-rule {value}\n"),
        Plugin::Lua => format!(
            "function send_response()\n  ts.client_response.header['x-rule'] = '{value}'\nend\n\
             function do_remap()\n  ts.hook(TS_LUA_HOOK_SEND_RESPONSE_HDR, send_response)\n  return 0\nend\n"
        ),
        Plugin::Wasm => format!(
            "config:\n  fail_policy: open\n  configuration:\n    response:\n      set:\n        x-rule: \"{value}\"\n  vm_config:\n    \
             code:\n      local:\n        filename: {}\n",
            sh::root()
                .join("filters/target/wasm32-wasip1/release/header_rewrite.wasm")
                .display()
        ),
    }
}

/// The answer's head and body for a request that a rule maps.
fn fetch(server: &AtsServer, rule: usize) -> Result<String> {
    let mut connection = TcpStream::connect(server.http())?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(
        connection,
        "GET / HTTP/1.1\r\nHost: r{rule}.test\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}
