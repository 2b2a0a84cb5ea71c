//! The last items of a queue, in a form that shared data can hold: the number of all items so far, then one line for
//! each that is kept, oldest first.

use std::collections::VecDeque;

/// The last items, and how many there have been.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recent {
    total: u64,
    lines: VecDeque<String>,
}

impl Recent {
    /// Takes an item in, and drops the oldest beyond `keep`. A line break in the item becomes a space.
    pub fn add(&mut self, item: &[u8], keep: usize) {
        self.total += 1;
        self.lines
            .push_back(String::from_utf8_lossy(item).replace(['\r', '\n'], " "));
        while self.lines.len() > keep {
            self.lines.pop_front();
        }
    }

    /// Items so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What a client sees, newest first.
    pub fn page(&self) -> String {
        let mut page = format!("{} so far, the last {}:\n", self.total, self.lines.len());
        for line in self.lines.iter().rev() {
            page.push_str(line);
            page.push('\n');
        }
        page
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = self.total.to_string();
        for line in &self.lines {
            text.push('\n');
            text.push_str(line);
        }
        text.into_bytes()
    }

    /// From the store; what cannot be read is nothing.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split('\n');
        let total = lines.next().and_then(|first| first.parse().ok());
        total
            .map(|total| Self {
                total,
                lines: lines.map(str::to_owned).collect(),
            })
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn the_oldest_go() {
        let mut recent = Recent::default();
        for item in ["one", "two\nlines", "three"] {
            recent.add(item.as_bytes(), 2);
        }
        assert_eq!(recent.total(), 3);
        assert_eq!(recent.page(), "3 so far, the last 2:\nthree\ntwo lines\n");
    }

    #[test]
    fn bytes_there_and_back() {
        let mut recent = Recent::default();
        assert_eq!(Recent::from_bytes(&recent.to_bytes()), recent);
        recent.add(b"", 9);
        recent.add(b"\xff", 9);
        assert_eq!(Recent::from_bytes(&recent.to_bytes()), recent);
        assert_eq!(Recent::from_bytes(b""), Recent::default());
        assert_eq!(Recent::from_bytes(b"x\ny"), Recent::default());
    }
}
