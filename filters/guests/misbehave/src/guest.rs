//! What the guest knows, and how a callback is carried out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::behaviour::Behaviour;
use crate::rules::{Rule, Rules, is_plugin_callback};
use crate::{allocator, memory, raw};

const INFO: u32 = 2;
const WARNING: u32 = 3;
const CRITICAL: u32 = 5;
const QUEUE: &[u8] = b"misbehave";
const KEY: &[u8] = b"misbehave";
/// Ticks that a held stream waits for.
const HELD_TICKS: u32 = 3;
const TICK_MILLISECONDS: u32 = 10;
const GAUGE: u32 = 1;

#[derive(Default)]
struct State {
    /// For all callbacks.
    rules: Vec<Rule>,
    /// For those of one stream.
    streams: BTreeMap<u32, Vec<Rule>>,
    /// Which stream waits for which call.
    calls: BTreeMap<u32, u32>,
    /// Streams that are let go after so many ticks.
    held: Vec<(u32, u32)>,
    upstream: Option<String>,
    reports: Vec<String>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
    static ROOT: Cell<u32> = const { Cell::new(0) };
    static CURRENT: Cell<u32> = const { Cell::new(0) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static RE_ENTERED: Cell<u32> = const { Cell::new(0) };
    static TICKS: Cell<bool> = const { Cell::new(false) };
    static STREAMS: Cell<u32> = const { Cell::new(0) };
}

/// What a callback returns.
pub struct Outcome {
    /// 0, or an action that a rule asked for.
    pub action: u32,
    /// 1, or 0 where a rule asked for it.
    pub truth: u32,
}

/// Runs a callback: `prepare` first, then what the rules say about `callback`.
pub fn enter(callback: &str, context: u32, prepare: impl FnOnce()) -> Outcome {
    if INSIDE.replace(true) {
        RE_ENTERED.set(RE_ENTERED.get() + 1);
        log(CRITICAL, &format!("entered again by {callback}"));
    }
    CURRENT.set(context);
    prepare();
    let mut outcome = Outcome { action: 0, truth: 1 };
    for behaviour in behaviours(callback, context) {
        match behaviour {
            Behaviour::Pause | Behaviour::Hold | Behaviour::HoldCall => outcome.action = 1,
            Behaviour::BadAction => outcome.action = 0x7fff_ffff,
            Behaviour::False => outcome.truth = 0,
            _ => {}
        }
        behaviour.act(callback);
    }
    INSIDE.set(false);
    outcome
}

fn behaviours(callback: &str, context: u32) -> Vec<Behaviour> {
    STATE.with_borrow(|state| {
        let own = state.streams.get(&context).into_iter().flatten();
        let matching = state
            .rules
            .iter()
            .chain(own)
            .filter(|rule| rule.callback == callback);
        matching.map(|rule| rule.behaviour).collect()
    })
}

/// Adds rules for all callbacks.
pub fn add_rules(text: &[u8]) {
    let Rules {
        list,
        upstream,
        unknown,
    } = Rules::parse(text);
    complain(&unknown);
    STATE.with_borrow_mut(|state| {
        state.rules.extend(list);
        state.upstream = upstream.or(state.upstream.take());
    });
    arm_ticks();
}

/// Adds the rules of a stream; those for callbacks of the plugin become everybody's.
pub fn add_stream_rules(context: u32, text: &[u8]) {
    let Rules { list, unknown, .. } = Rules::parse(text);
    complain(&unknown);
    let (plugin, stream): (Vec<_>, _) = list
        .into_iter()
        .partition(|rule| is_plugin_callback(&rule.callback));
    STATE.with_borrow_mut(|state| {
        state.rules.extend(plugin);
        state.streams.insert(context, stream);
    });
    arm_ticks();
}

pub fn forget_stream(context: u32) {
    STATE.with_borrow_mut(|state| {
        state.streams.remove(&context);
        state.calls.retain(|_, stream| *stream != context);
    });
}

/// Whether anything is to happen in `callback`, by the rules of all and of a stream.
pub fn expects(callback: &str, context: u32) -> bool {
    !behaviours(callback, context).is_empty()
}

/// Ticks only come to those who ask.
fn arm_ticks() {
    if expects("tick", 0) {
        begin_ticks();
    }
}

/// Once only: asking again would put the next tick off.
fn begin_ticks() {
    if !TICKS.replace(true) {
        raw::proxy_set_tick_period_milliseconds(TICK_MILLISECONDS);
    }
}

/// Lets the current stream go some ticks later.
pub fn hold() {
    let context = current_context();
    STATE.with_borrow_mut(|state| state.held.push((context, HELD_TICKS)));
    begin_ticks();
}

/// A tick has come: lets streams go whose time is over, and which may have ended long ago.
pub fn release_held() {
    let due: Vec<u32> = STATE.with_borrow_mut(|state| {
        state.held.iter_mut().for_each(|(_, ticks)| *ticks -= 1);
        let due = state.held.extract_if(.., |(_, ticks)| *ticks == 0);
        due.map(|(context, _)| context).collect()
    });
    for context in due {
        if raw::proxy_set_effective_context(context) == 0 {
            resume();
        }
    }
    raw::proxy_set_effective_context(root());
}

/// Looks at each stream from wherever it is called, and adds a field to its request.
pub fn look(callback: &str) {
    const REQUEST_HEADERS: u32 = 0;
    let current = current_context();
    let streams: Vec<u32> = STATE.with_borrow(|state| state.streams.keys().copied().collect());
    for context in streams {
        if raw::proxy_set_effective_context(context) != 0 {
            continue;
        }
        let pairs = fetch(|out, len| raw::proxy_get_header_map_pairs(REQUEST_HEADERS, out, len));
        let (name, name_len) = memory::slice(b"x-misbehave-look");
        let (value, value_len) = memory::slice(callback.as_bytes());
        raw::proxy_replace_header_map_value(REQUEST_HEADERS, name, name_len, value, value_len);
        let found = if pairs.is_some_and(|pairs| !pairs.is_empty()) {
            "a head"
        } else {
            "nothing"
        };
        report(&format!("look@{callback}: {found}"));
    }
    raw::proxy_set_effective_context(current);
}

/// Logs how the stream has ended, in Envoy's response flags.
pub fn log_flags(callback: &str) {
    let (path, len) = memory::slice(b"response\0flags");
    let value = fetch(|out, out_len| raw::proxy_get_property(path, len, out, out_len));
    let flags = value.and_then(|value| Some(i64::from_le_bytes(value.try_into().ok()?)));
    log(WARNING, &format!("flags@{callback}: {flags:?}"));
}

/// Lets the current stream go on, whichever direction is held.
pub fn resume() {
    for direction in [0, 1] {
        raw::proxy_continue_stream(direction);
    }
}

/// Defines the gauge `misbehave.streams`: streams that the guest knows of.
pub fn define_gauge() {
    let (name, len) = memory::slice(b"misbehave.streams");
    let mut metric = 0_u32;
    raw::proxy_define_metric(GAUGE, name, len, memory::address(&raw mut metric));
    STREAMS.set(metric);
}

pub fn count_streams(change: i64) {
    raw::proxy_increment_metric(STREAMS.get(), change);
}

/// Answers the current stream.
pub fn answer() {
    let (body, len) = memory::slice(b"misbehave");
    let pairs = memory::pairs(&[]);
    let (pairs, pairs_len) = memory::slice(&pairs);
    raw::proxy_send_local_response(418, 0, 0, body, len, pairs, pairs_len, u32::MAX);
}

fn complain(unknown: &[String]) {
    for word in unknown {
        log(CRITICAL, &format!("not behaviour@callback: {word}"));
    }
}

pub fn set_root(context: u32) {
    ROOT.set(context);
}

pub fn root() -> u32 {
    ROOT.get()
}

pub fn current_context() -> u32 {
    CURRENT.get()
}

pub fn times_re_entered() -> u32 {
    RE_ENTERED.get()
}

pub fn upstream() -> String {
    STATE.with_borrow(|state| state.upstream.clone().unwrap_or_else(|| "misbehave".to_owned()))
}

/// Sends a call for the current context.
pub fn http_call(upstream: &str) -> Option<u32> {
    let headers = memory::pairs(&[
        (b":method", b"GET"),
        (b":path", b"/"),
        (b":authority", b"misbehave"),
    ]);
    let (upstream, upstream_len) = memory::slice(upstream.as_bytes());
    let (headers, headers_len) = memory::slice(&headers);
    let mut token = 0_u32;
    let out = memory::address(&raw mut token);
    let status = raw::proxy_http_call(
        upstream,
        upstream_len,
        headers,
        headers_len,
        0,
        0,
        0,
        0,
        5000,
        out,
    );
    if status != 0 {
        return None;
    }
    STATE.with_borrow_mut(|state| state.calls.insert(token, current_context()));
    Some(token)
}

/// The stream that made a call, if any.
pub fn caller_of(token: u32) -> Option<u32> {
    STATE
        .with_borrow_mut(|state| state.calls.remove(&token))
        .filter(|context| *context != root())
}

pub fn register_queue() -> Option<u32> {
    let (name, len) = memory::slice(QUEUE);
    let mut queue = 0_u32;
    let status = raw::proxy_register_shared_queue(name, len, memory::address(&raw mut queue));
    (status == 0).then_some(queue)
}

/// Puts something into its own queue.
pub fn wake_itself() {
    if let Some(queue) = register_queue() {
        let (value, len) = memory::slice(b"wake up");
        raw::proxy_enqueue_shared_queue(queue, value, len);
    }
}

/// Stores a value and reads it back, for which the host calls the allocator.
pub fn shared_data_round_trip() {
    let (key, key_len) = memory::slice(b"misbehave/round-trip");
    let (value, value_len) = memory::slice(b"a value of some length");
    raw::proxy_set_shared_data(key, key_len, value, value_len, 0);
    let mut out = [0_u32; 3];
    let at = memory::address(&raw mut out);
    if raw::proxy_get_shared_data(key, key_len, at, at + 4, at + 8) == 0 {
        drop(allocator::adopt(out[0], out[1]));
    }
}

/// What `read` puts into the two output words it is given the addresses of.
pub fn fetch(read: impl FnOnce(u32, u32) -> u32) -> Option<Vec<u8>> {
    let mut out = [0_u32; 2];
    let at = memory::address(&raw mut out);
    (read(at, at + 4) == 0).then(|| allocator::adopt(out[0], out[1]))
}

/// Says what came of a behaviour that the guest survived, once however often it happens.
pub fn report(text: &str) {
    let news = STATE.with_borrow_mut(|state| {
        let known = state.reports.iter().any(|report| report == text);
        if !known {
            state.reports.push(text.to_owned());
        }
        (!known).then(|| state.reports.join("; "))
    });
    let Some(all) = news else {
        return;
    };
    log(INFO, text);
    let (key, key_len) = memory::slice(KEY);
    let (value, value_len) = memory::slice(all.as_bytes());
    raw::proxy_set_shared_data(key, key_len, value, value_len, 0);
}

/// Puts the reports so far into a response header.
pub fn show_reports() {
    let all = STATE.with_borrow(|state| state.reports.join("; "));
    if !all.is_empty() {
        const RESPONSE_HEADERS: u32 = 2;
        let (name, name_len) = memory::slice(b"x-misbehave-report");
        let (value, value_len) = memory::slice(all.as_bytes());
        raw::proxy_replace_header_map_value(RESPONSE_HEADERS, name, name_len, value, value_len);
    }
}

fn log(level: u32, text: &str) {
    let (text, len) = memory::slice(text.as_bytes());
    raw::proxy_log(level, text, len);
}
