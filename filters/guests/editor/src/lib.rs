//! A guest that edits messages, answers and calls as it is told to: by its configuration and then by the request header
//! `x-edits`. Both hold JSON, a list of edits, each with the message that it is for. Names and values go to the host as they
//! stand there.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType};
use serde::Deserialize;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// A message that edits are for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Message {
    Request,
    RequestTrailers,
    Response,
    ResponseTrailers,
}

/// What is to be done; lines are name and value.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Edit {
    Add(String, String),
    Replace(String, String),
    Remove(String),
    SetAll(Vec<(String, String)>),
    /// Answers, and lets the message go on.
    Reply(u32, String, Vec<(String, String)>),
    /// Answers, and holds the message.
    ReplyAndPause(u32, String, Vec<(String, String)>),
    /// Adds the path, the authority and the scheme that it sees to the request, as lines of this name.
    ShowTarget(String),
    /// Adds a line of this name with the value of a property.
    ShowProperty(String, String),
    /// Appends a text to the response's body.
    Append(String),
    /// Holds the response's body until it is whole.
    Hold,
    /// Declines both bodies.
    Decline,
    /// Panics.
    Panic,
    /// Logs the status that it sees in the end, as a warning.
    LogStatus,
    Call(Vec<(String, String)>, Vec<(String, String)>),
}

#[derive(Default)]
struct Root {
    edits: Vec<(Message, Edit)>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        match serde_json::from_slice(&text) {
            Ok(edits) => self.edits = edits,
            Err(_) => return text.is_empty(),
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            edits: self.edits.clone(),
        }))
    }
}

struct Stream {
    edits: Vec<(Message, Edit)>,
}

impl Stream {
    /// Does what is to be done to a message; whether an answer to a call is waited for.
    fn edit(&self, message: Message) -> Action {
        let map = match message {
            Message::Request => MapType::HttpRequestHeaders,
            Message::RequestTrailers => MapType::HttpRequestTrailers,
            Message::Response => MapType::HttpResponseHeaders,
            Message::ResponseTrailers => MapType::HttpResponseTrailers,
        };
        let mut action = Action::Continue;
        for (_, edit) in self.edits.iter().filter(|(of, _)| *of == message) {
            // Whatever the host says: what is tested is what others get.
            match edit {
                Edit::Add(name, value) => {
                    let _ = hostcalls::add_map_value(map, name, value);
                }
                Edit::Replace(name, value) => {
                    let _ = hostcalls::set_map_value(map, name, Some(value));
                }
                Edit::Remove(name) => {
                    let _ = hostcalls::remove_map_value(map, name);
                }
                Edit::SetAll(lines) => {
                    let _ = hostcalls::set_map(map, borrowed(lines));
                }
                Edit::Reply(status, body, lines) => {
                    // Refused where an answer is given already: then the message must go on.
                    let _ = hostcalls::send_http_response(*status, borrowed(lines), Some(body.as_bytes()));
                    return Action::Continue;
                }
                Edit::ReplyAndPause(status, body, lines) => {
                    let _ = hostcalls::send_http_response(*status, borrowed(lines), Some(body.as_bytes()));
                    return Action::Pause;
                }
                Edit::ShowTarget(name) => {
                    for part in [":path", ":authority", ":scheme"] {
                        let value = hostcalls::get_map_value_bytes(map, part).ok().flatten();
                        let _ = hostcalls::add_map_value_bytes(map, name, &value.unwrap_or_default());
                    }
                }
                Edit::ShowProperty(name, property) => {
                    let value = hostcalls::get_property(property.split('.').collect());
                    let value = value.ok().flatten().unwrap_or_default();
                    let _ = hostcalls::add_map_value_bytes(map, name, &value);
                }
                Edit::Decline => {
                    let _ = hostcalls::call_foreign_function("decline_body", None);
                }
                Edit::Panic => panic!("told to panic"),
                Edit::Append(_) | Edit::Hold | Edit::LogStatus => {}
                Edit::Call(lines, trailers) => {
                    let (lines, trailers) = (borrowed(lines), borrowed(trailers));
                    let timeout = Duration::from_secs(5);
                    if hostcalls::dispatch_http_call("origin", lines, Some(b"call"), trailers, timeout)
                        .is_ok()
                    {
                        action = Action::Pause;
                    }
                }
            }
        }
        action
    }
}

fn borrowed(lines: &[(String, String)]) -> Vec<(&str, &str)> {
    lines
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, _: usize, _: usize, _: usize) {
        let _ = hostcalls::resume_http_request();
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let edits = hostcalls::get_map_value(MapType::HttpRequestHeaders, "x-edits");
        if let Ok(Some(text)) = edits {
            let more: Vec<_> = serde_json::from_str(&text).unwrap_or_default();
            self.edits.extend(more);
        }
        self.edit(Message::Request)
    }

    fn on_http_request_body(&mut self, _: usize, end_of_stream: bool) -> Action {
        if end_of_stream {
            self.edit(Message::RequestTrailers);
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.edit(Message::Response)
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            let holds = self.edits.iter().any(|(_, edit)| matches!(edit, Edit::Hold));
            return if holds { Action::Pause } else { Action::Continue };
        }
        for (_, edit) in &self.edits {
            if let Edit::Append(text) = edit {
                self.set_http_response_body(size, 0, text.as_bytes());
            }
        }
        self.edit(Message::ResponseTrailers);
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.edits.iter().any(|(_, edit)| matches!(edit, Edit::LogStatus)) {
            let status = self.get_http_response_header(":status").unwrap_or_default();
            let _ = hostcalls::log(LogLevel::Warn, &format!("in the end: {status}"));
        }
    }
}
