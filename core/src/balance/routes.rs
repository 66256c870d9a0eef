//! Which servers a client may go to by the name it asks for in TLS (`server N sni`). Pure.
//!
//! Owns the numbers of names and nothing about servers: each server keeps the numbers it serves, each attempt the one it
//! is for. Numbers are never given to another name, so an attempt under way stays right when the servers change.

use std::collections::{HashMap, HashSet};

/// What a client asks for: a name that some server has, or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Route(u32);

impl Route {
    /// No name, or one that no server has: for the servers without names.
    pub const DEFAULT: Route = Route(0);
}

/// The names of all servers.
#[derive(Debug, Default)]
pub struct Routes {
    /// Every name there ever was. Only the operator adds to it.
    numbers: HashMap<String, Route>,
    served: HashSet<String>,
}

impl Routes {
    /// Forgets what is served; [`Routes::serve`] says it anew.
    pub fn clear(&mut self) {
        self.served.clear();
    }

    /// Whether nobody asks for anything.
    pub fn is_empty(&self) -> bool {
        self.served.is_empty()
    }

    /// The routes of a server with these names, in order; none for a server that is for everybody else.
    pub fn serve(&mut self, names: &[String]) -> Vec<Route> {
        let mut routes: Vec<Route> = names.iter().map(|name| self.number(name)).collect();
        self.served.extend(names.iter().cloned());
        routes.sort_unstable();
        routes
    }

    fn number(&mut self, name: &str) -> Route {
        let next = Route(self.numbers.len() as u32 + 1);
        *self.numbers.entry(name.to_owned()).or_insert(next)
    }

    /// The route of a name in lower case: its own, or that of `*.` and its parent.
    pub fn find(&self, name: Option<&str>) -> Route {
        let Some(name) = name.filter(|_| !self.is_empty()) else { return Route::DEFAULT };
        let of = |name: &str| self.served.contains(name).then(|| self.numbers[name]);
        let parent = || name.split_once('.').and_then(|(_, parent)| of(&format!("*.{parent}")));
        of(name).or_else(parent).unwrap_or(Route::DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_name_is_found_before_its_pattern() {
        let mut routes = Routes::default();
        assert_eq!(routes.find(Some("a.test")), Route::DEFAULT);
        let exact = routes.serve(&names("a.test"));
        let pattern = routes.serve(&names("*.test"));
        assert_eq!(routes.find(Some("a.test")), exact[0]);
        assert_eq!(routes.find(Some("b.test")), pattern[0]);
        for name in [Some("x.a.test"), Some("test"), Some("b.other"), None] {
            assert_eq!(routes.find(name), Route::DEFAULT, "{name:?}");
        }
    }

    #[test]
    fn a_name_keeps_its_number_and_counts_while_it_is_served() {
        let mut routes = Routes::default();
        let before = routes.serve(&names("a.test b.test"));
        routes.clear();
        assert_eq!(routes.serve(&names("b.test c.test"))[0], before[1]);
        assert_eq!(routes.find(Some("a.test")), Route::DEFAULT);
    }
}
