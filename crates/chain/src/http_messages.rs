//! Messages for proxies that keep them as types of the `http` crate.

use http::HeaderMap;
use weir_abi::MapType;
use weir_host::{Edit, Fact, FactValue, HeaderEdit, Lookup};

use crate::head::{FieldLines, RequestHead, ResponseHead};
use crate::messages::Messages;
use crate::state::Direction;

/// The messages of one exchange, and the proxy's facts about it.
pub struct HttpMessages<F> {
    /// Head of the request; kept to the end, for `on_log`.
    pub request: RequestHead,
    /// Trailers of the request.
    pub request_trailers: Option<HeaderMap>,
    /// Head of the response, from the moment there is one.
    pub response: Option<ResponseHead>,
    /// Trailers of the response.
    pub response_trailers: Option<HeaderMap>,
    /// The proxy's facts beyond the messages.
    pub facts: F,
}

/// A proxy's facts about a stream beyond its messages. `()` has none.
pub trait Facts: Send + Sync + Sized + 'static {
    /// Answers [`weir_host::Stream::fact`].
    fn fact(messages: &HttpMessages<Self>, fact: Fact) -> Option<FactValue>;

    /// The sender of a direction broke off; the stream is about to be reset for it.
    fn source_failed(&mut self, direction: Direction) {
        let _ = direction;
    }
}

impl Facts for () {
    fn fact(_: &HttpMessages<Self>, _: Fact) -> Option<FactValue> {
        None
    }
}

impl<F> HttpMessages<F> {
    /// Messages of an exchange whose request has just come.
    pub fn new(request: RequestHead, facts: F) -> Self {
        Self {
            request,
            request_trailers: None,
            response: None,
            response_trailers: None,
            facts,
        }
    }

    /// Trailers of a direction.
    pub fn trailers(&mut self, direction: Direction) -> &mut Option<HeaderMap> {
        match direction {
            Direction::Request => &mut self.request_trailers,
            Direction::Response => &mut self.response_trailers,
        }
    }

    fn lines(&self, map: MapType) -> Option<&dyn FieldLines> {
        match map {
            MapType::HttpRequestHeaders => Some(&self.request),
            MapType::HttpResponseHeaders => self.response.as_ref().map(|head| head as &dyn FieldLines),
            MapType::HttpRequestTrailers => self.request_trailers.as_ref().map(|map| map as &dyn FieldLines),
            MapType::HttpResponseTrailers => {
                self.response_trailers.as_ref().map(|map| map as &dyn FieldLines)
            }
            _ => None,
        }
    }
}

impl<F: Facts> Messages for HttpMessages<F> {
    fn head_count(&self, direction: Direction) -> usize {
        match direction {
            Direction::Request => self.request.count(),
            Direction::Response => self.response.as_ref().map_or(0, FieldLines::count),
        }
    }

    fn trailers_count(&self, direction: Direction) -> Option<usize> {
        let trailers = match direction {
            Direction::Request => &self.request_trailers,
            Direction::Response => &self.response_trailers,
        };
        trailers.as_ref().map(HeaderMap::len)
    }

    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        match self.lines(map) {
            Some(lines) => lines.value(name, out),
            None => Lookup::NoMap,
        }
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        match self.lines(map) {
            Some(lines) => {
                lines.visit(visit);
                Lookup::Found
            }
            None => Lookup::NoMap,
        }
    }

    fn edit(&mut self, map: MapType, edit: HeaderEdit<'_>, may_add: bool) -> Edit {
        match map {
            MapType::HttpRequestHeaders => self.request.edit(edit),
            MapType::HttpResponseHeaders => match &mut self.response {
                Some(head) => head.edit(edit),
                None => Edit::Absent,
            },
            MapType::HttpRequestTrailers => edit_trailers(&mut self.request_trailers, edit, may_add),
            MapType::HttpResponseTrailers => edit_trailers(&mut self.response_trailers, edit, may_add),
            _ => Edit::Absent,
        }
    }

    fn fact(&self, fact: Fact) -> Option<FactValue> {
        F::fact(self, fact)
    }

    fn source_failed(&mut self, direction: Direction) {
        self.facts.source_failed(direction);
    }
}

fn edit_trailers(trailers: &mut Option<HeaderMap>, edit: HeaderEdit<'_>, may_add: bool) -> Edit {
    match trailers {
        Some(trailers) => FieldLines::edit(trailers, edit),
        None if may_add => {
            let mut new = HeaderMap::new();
            let outcome = FieldLines::edit(&mut new, edit);
            if !new.is_empty() {
                *trailers = Some(new);
            }
            outcome
        }
        None => Edit::Absent,
    }
}
