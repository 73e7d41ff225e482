//! Path patterns of routes and the tree that finds the one that fits. Owns precedence: segment by segment from the left,
//! a literal beats a capture and a capture beats a wildcard; what leads nowhere is taken back. Methods are
//! [`super::table`]'s.
//!
//! A tree of our own, because the routers at hand refuse a capture and a wildcard at the same place.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::path::{self, BadPath};

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// In the form in which segments are compared.
    Literal(String),
    /// One segment that is not empty.
    Capture(String),
    /// All that is left: at least one segment, the first of which is not empty.
    Rest(String),
}

impl Pattern {
    /// Reads a pattern, and finds all that is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        if !text.starts_with('/') {
            wrong.push("the path of a route begins with `/`".to_owned());
        }
        let mut names = BTreeSet::new();
        let mut parsed = Vec::new();
        let raw: Vec<&str> = path::segments(text).collect();
        for (at, segment) in raw.iter().enumerate() {
            match parse_segment(segment) {
                Err(message) => wrong.push(message),
                Ok(Segment::Rest(name)) if at + 1 < raw.len() => {
                    wrong.push(format!("the wildcard `{{*{name}}}` is not the last segment"));
                }
                Ok(found) => {
                    if let Segment::Capture(name) | Segment::Rest(name) = &found
                        && !names.insert(name.clone())
                    {
                        wrong.push(format!("the capture `{name}` stands twice in the pattern"));
                    }
                    parsed.push(found);
                }
            }
        }
        if wrong.is_empty() { Ok(Self { segments: parsed }) } else { Err(wrong) }
    }

    /// The names that it captures.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Capture(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// The values of a path that this pattern fits, decoded once.
    pub(crate) fn capture(&self, raw: &[&str]) -> Result<BTreeMap<String, String>, BadPath> {
        let mut values = BTreeMap::new();
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Literal(_) => {}
                Segment::Capture(name) => {
                    values.insert(name.clone(), path::decode(raw[at])?);
                }
                Segment::Rest(name) => {
                    values.insert(name.clone(), path::decode(&raw[at..].join("/"))?);
                }
            }
        }
        Ok(values)
    }

    /// A path that it fits, in which captures and wildcards stand for something that no literal is.
    pub(crate) fn sample(&self) -> String {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => text.as_str(),
            Segment::Capture(_) => "~",
            Segment::Rest(_) => "~/~/~/~",
        });
        segments.fold(String::new(), |path, segment| path + "/" + segment)
    }
}

/// The names that a pattern with mistakes in it seems to be meant to capture, so that templates are not blamed for them.
pub(crate) fn meant_names(text: &str) -> Vec<String> {
    let inside = text.split('/').filter_map(|segment| segment.split_once('{'));
    inside.map(|(_, rest)| rest.trim_start_matches('*').split('}').next().unwrap_or_default().to_owned()).collect()
}

fn parse_segment(text: &str) -> Result<Segment, String> {
    if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let (name, is_rest) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
        let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_word || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!(
                "`{text}`: the name of a capture is made of letters, digits and `_`, and begins with no digit"
            ));
        }
        let name = name.to_owned();
        return Ok(if is_rest { Segment::Rest(name) } else { Segment::Capture(name) });
    }
    if text.contains(['{', '}']) {
        return Err(format!("`{text}`: a capture is a whole segment"));
    }
    if text == "*" {
        return Err("`*`: a wildcard has a name, as in `{*rest}`".to_owned());
    }
    path::check(&format!("/{text}")).map_err(|bad| bad.to_string())?;
    Ok(Segment::Literal(path::normalise(text).into_owned()))
}

/// The patterns of one method, each with a value.
#[derive(Debug, Default)]
pub(crate) struct Tree<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    literals: HashMap<String, Node<T>>,
    capture: Option<Box<Node<T>>>,
    here: Option<T>,
    rest: Option<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: HashMap::new(), capture: None, here: None, rest: None }
    }
}

impl<T: Copy> Tree<T> {
    /// Adds a pattern; gives the value of the one that has the same shape, if there is one.
    pub(crate) fn insert(&mut self, pattern: &Pattern, value: T) -> Result<(), T> {
        let mut node = &mut self.root;
        for segment in &pattern.segments {
            match segment {
                Segment::Literal(text) => node = node.literals.entry(text.clone()).or_default(),
                Segment::Capture(_) => node = node.capture.get_or_insert_default(),
                Segment::Rest(_) => return fill(&mut node.rest, value),
            }
        }
        fill(&mut node.here, value)
    }

    /// The value of the pattern that fits these segments best; they are in the form in which segments are compared. Visits each
    /// node at most once.
    pub(crate) fn find(&self, segments: &[Cow<'_, str>]) -> Option<T> {
        self.root.find(segments)
    }

    /// The values of wildcards that can never be reached, because captures beside them take every path.
    pub(crate) fn shadowed(&self) -> Vec<T> {
        let mut found = Vec::new();
        self.root.collect_shadowed(&mut found);
        found
    }
}

impl<T: Copy> Node<T> {
    fn find(&self, segments: &[Cow<'_, str>]) -> Option<T> {
        let Some((first, others)) = segments.split_first() else {
            return self.here;
        };
        let by_literal = self.literals.get(first.as_ref()).and_then(|node| node.find(others));
        if by_literal.is_some() || first.is_empty() {
            return by_literal;
        }
        self.capture.as_ref().and_then(|node| node.find(others)).or(self.rest)
    }

    /// Whether every path with at least one more segment that is not empty ends at a route below this node.
    fn takes_all(&self) -> bool {
        self.capture.as_ref().is_some_and(|node| node.here.is_some() && node.takes_all_or_rest())
    }

    /// No wildcard takes a path that goes on with an empty segment (`x//b`); that gap is too odd a reason to keep quiet.
    fn takes_all_or_rest(&self) -> bool {
        self.rest.is_some() || self.takes_all()
    }

    fn collect_shadowed(&self, found: &mut Vec<T>) {
        if self.takes_all() {
            found.extend(self.rest);
        }
        for node in self.literals.values().chain(self.capture.as_deref()) {
            node.collect_shadowed(found);
        }
    }
}

fn fill<T: Copy>(place: &mut Option<T>, value: T) -> Result<(), T> {
    match place {
        Some(first) => Err(*first),
        None => {
            *place = Some(value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(patterns: &[&'static str]) -> Tree<&'static str> {
        let mut tree = Tree::default();
        for pattern in patterns {
            tree.insert(&Pattern::parse(pattern).unwrap(), *pattern).unwrap();
        }
        tree
    }

    fn find(tree: &Tree<&'static str>, path: &str) -> Option<&'static str> {
        tree.find(&path::segments(path).map(path::normalise).collect::<Vec<_>>())
    }

    #[test]
    fn literal_beats_capture_beats_wildcard_from_the_left() {
        let tree = tree(&["/a/b/{x}", "/a/{y}/c", "/a/{y}", "/a/{*rest}", "/{*all}", "/a"]);
        for (path, pattern) in [
            ("/a/b/c", Some("/a/b/{x}")),
            ("/a/z/c", Some("/a/{y}/c")),
            ("/a/b", Some("/a/{y}")),
            ("/a/b/c/d", Some("/a/{*rest}")),
            ("/a/z/d", Some("/a/{*rest}")),
            ("/a", Some("/a")),
            ("/q", Some("/{*all}")),
            ("/a/", Some("/{*all}")),
            ("/", None),
            ("//q", None),
        ] {
            assert_eq!(find(&tree, path), pattern, "{path}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_taken_back() {
        let tree = tree(&["/a/b/c/d", "/a/{y}/c/e", "/{x}/{y}/{z}/f", "/{*r}"]);
        assert_eq!(find(&tree, "/a/b/c/d"), Some("/a/b/c/d"));
        assert_eq!(find(&tree, "/a/b/c/e"), Some("/a/{y}/c/e"));
        assert_eq!(find(&tree, "/a/b/c/f"), Some("/{x}/{y}/{z}/f"));
        assert_eq!(find(&tree, "/a/b/c/g"), Some("/{*r}"));
    }

    #[test]
    fn encoded_slashes_divide_nothing_and_encoded_letters_are_equal() {
        let tree = tree(&["/v1/list=%2fx", "/v1/{key}"]);
        assert_eq!(find(&tree, "/v1/a%2Fb"), Some("/v1/{key}"));
        assert_eq!(find(&tree, "/%761/list=%2Fx"), Some("/v1/list=%2fx"));
        let pattern = Pattern::parse("/v1/{key}").unwrap();
        assert_eq!(pattern.capture(&["v1", "a%2Fb"]).unwrap()["key"], "a/b");
        let pattern = Pattern::parse("/{*all}").unwrap();
        assert_eq!(pattern.capture(&["v1", "a", "", "b"]).unwrap()["all"], "v1/a//b");
    }

    #[test]
    fn same_shapes_conflict_whatever_the_names() {
        let mut tree = Tree::default();
        tree.insert(&Pattern::parse("/a/{x}/b").unwrap(), 1).unwrap();
        assert_eq!(tree.insert(&Pattern::parse("/a/{y}/b").unwrap(), 2), Err(1));
        assert_eq!(tree.insert(&Pattern::parse("/a/{y}/c").unwrap(), 3), Ok(()));
        assert_eq!(tree.insert(&Pattern::parse("/%61/{y}/c").unwrap(), 4), Err(3));
    }

    #[test]
    fn a_wildcard_beside_captures_that_take_everything_is_shadowed() {
        assert_eq!(tree(&["/a/{x}", "/a/{x}/{*y}", "/a/{*z}"]).shadowed(), ["/a/{*z}"]);
        assert!(tree(&["/a/{x}", "/a/{*z}"]).shadowed().is_empty());
    }

    #[test]
    fn bad_patterns_are_told_all_at_once() {
        for bad in ["a/b", "/a{x}", "/{x}-y", "/{*r}/b", "/{x}/{x}", "/{}", "/{1a}", "/*", "/a/../b", "/a b", "/{a-b}"]
        {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Pattern::parse("x/{y}z/{*r}/b").unwrap_err().len(), 3);
        assert_eq!(meant_names("x/{y}z/{*r}/{b"), ["y", "r", "b"]);
    }
}
