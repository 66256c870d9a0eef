//! `config.xml` of txLoadBalancer and PythonDirector as pen's commands: services, groups, schedulers, checks of hosts.
//!
//! Both forms are taken, whichever root they stand in: `<enable group="...">` and the attribute `enable`, `<client>` and
//! `<host>`, old and new words for schedulers. The order of the file is kept.

use super::names::Names;
use super::xml::{self, Element};
use super::{Errors, Imported, Note, Place};
use pen_proto::addr::{Host, ListenAddr, quoted};
use pen_proto::seconds::Seconds;
use pen_proto::words::written;

/// Each with what it is here, and whether it goes by weights.
const SCHEDULERS: [(&str, &str, bool); 9] = [
    ("rand", "random", false),
    ("roundr", "round_robin", false),
    ("leastc", "least_conn", false),
    ("weightr", "random", true),
    ("random", "random", false),
    ("roundrobin", "round_robin", false),
    ("leastconns", "least_conn", false),
    ("leastconnsrr", "least_conn", false),
    ("weighted", "random", true),
];
/// Words that mean the same as others: of the DTD.
const LWEIGHTED: &str = "lweighted";
const TRUE: [&str; 5] = ["yes", "1", "on", "enable", "true"];
const FALSE: [&str; 5] = ["no", "0", "off", "disable", "false"];
/// Of connects in a row that a host must take to come back.
const RISE: u32 = 4;
/// What one of them may take, in seconds.
const CHECK_TIMEOUT: u32 = 5;
const HOST_CHECK_SECONDS: f64 = 120.0;
const CONFIG_CHECK_SECONDS: f64 = 30.0;

/// Who may look after the balancer. Passwords are not carried over: crypt(3) hashes are broken in no time today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub access: Access,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Full,
    ReadOnly,
}

/// Whether a text looks as such a file.
pub fn is_one(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
}

/// Translates a file.
///
/// # Errors
/// What is wrong, each with line and column.
pub fn import(text: &str) -> Result<Imported, Errors> {
    let root = root(text)?;
    let mut reader = Reader::default();
    let (mut has_admin, mut manager) = (false, Manager::default());
    for child in &root.children {
        match child.name.as_str() {
            "service" => reader.service(child),
            "admin" if has_admin => reader.wrong(child, "want one <admin>"),
            "admin" => {
                has_admin = true;
                reader.admin(child);
            }
            "manager" => manager = reader.manager(child),
            "logging" => reader.logging(child, root.name == OLD_ROOT),
            "control" => reader.control(child),
            "note" => {}
            _ => reader.wrong(child, "want <service>, <admin>, <manager>, <logging> or <control>"),
        }
    }
    if reader.services == 0 {
        reader.wrong(&root, "want a <service>");
    }
    match reader.errors.is_empty() {
        false => Err(reader.errors),
        true => Ok(reader.finish(&manager)),
    }
}

/// The users of `<admin>`.
///
/// # Errors
/// What is wrong, each with line and column.
pub fn users(text: &str) -> Result<Vec<User>, Errors> {
    let root = root(text)?;
    let (mut users, mut errors) = (Vec::<User>::new(), Errors::new());
    let admins = root.children.iter().filter(|child| child.name == "admin");
    for element in admins.flat_map(|admin| &admin.children).filter(|child| child.name == "user") {
        match user(element) {
            Ok(user) if users.iter().any(|known| known.name == user.name) => {
                errors.push(Note {
                    place: element.place,
                    text: format!("<user>: there is a {} already", quoted(&user.name)),
                });
            }
            Ok(user) => users.push(user),
            Err(text) => errors.push(Note { place: element.place, text }),
        }
    }
    if errors.is_empty() { Ok(users) } else { Err(errors) }
}

/// What PythonDirector's files begin with.
const OLD_ROOT: &str = "pdconfig";

fn root(text: &str) -> Result<Element, Errors> {
    let root = xml::read(text).map_err(|note| vec![note])?;
    match ["config", OLD_ROOT].contains(&root.name.as_str()) {
        true => Ok(root),
        false => {
            let text = format!(
                "want <config> of txLoadBalancer or <pdconfig> of PythonDirector, got <{}>",
                root.name
            );
            Err(vec![Note { place: root.place, text }])
        }
    }
}

fn user(element: &Element) -> Result<User, String> {
    let name = element.get("name").filter(|name| !name.is_empty()).ok_or("<user>: want name=\"...\"")?;
    let access = match element.get("access") {
        Some("full") => Access::Full,
        Some("readonly") => Access::ReadOnly,
        other => {
            let got = quoted(other.unwrap_or(""));
            return Err(format!("<user>: access: want full or readonly, got {got}"));
        }
    };
    Ok(User { name: name.to_owned(), access, place: element.place })
}

/// What the manager does, for all services.
#[derive(Debug, Default)]
struct Manager {
    /// Seconds between two checks of hosts that failed.
    host_check: Option<f64>,
    /// Seconds after which changes are written.
    config_check: Option<f64>,
}

#[derive(Default)]
struct Reader {
    imported: Imported,
    errors: Errors,
    services: usize,
    /// Where the lines of each service end, for what holds for all.
    ends: Vec<usize>,
    names: Names,
}

/// A group, before it is written.
struct Group {
    name: String,
    given: String,
    policy: &'static str,
}

impl Reader {
    fn wrong(&mut self, element: &Element, text: impl Into<String>) {
        let text = format!("<{}>: {}", element.name, text.into());
        self.errors.push(Note { place: element.place, text });
    }

    fn note(&mut self, element: &Element, text: impl Into<String>) {
        self.imported.note(element.place, format!("<{}>: {}", element.name, text.into()));
    }

    /// A boolean: what is not true is false.
    fn is_on(&mut self, element: &Element, attribute: &str) -> bool {
        let Some(value) = element.get(attribute) else { return false };
        let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(value));
        let is_true = is_one_of(&TRUE);
        if !is_true && !is_one_of(&FALSE) {
            self.note(
                element,
                format!("{attribute}: want {}, got {}, which counts as no", TRUE.join(", "), quoted(value)),
            );
        }
        is_true
    }

    fn service(&mut self, element: &Element) {
        self.services += 1;
        let Some(given) = element.get("name").filter(|name| !name.is_empty()) else {
            return self.wrong(element, "want name=\"...\"");
        };
        let (name, note) = self.names.name(given, "service");
        note.into_iter().for_each(|note| self.note(element, note));
        self.imported.say(format!("service {name}"));
        self.imported.say("roundrobin");
        let (mut listens, mut number) = (0, 0);
        let (mut groups, mut groups_names, mut names) = (Vec::new(), Names::default(), Names::default());
        let mut enabled: Option<(String, Place)> = None;
        for child in &element.children {
            match child.name.as_str() {
                "listen" => {
                    self.listen(child, listens > 0);
                    listens += 1;
                }
                "group" => {
                    let is_enabled = self.is_on(child, "enable");
                    let group = self.group(child, &mut groups_names, &mut names, &mut number);
                    let Some(group) = group else { continue };
                    if is_enabled {
                        self.enable(child, group.given.clone(), &mut enabled);
                    }
                    groups.push(group);
                }
                "enable" => match child.get("group") {
                    Some(group) => self.enable(child, group.to_owned(), &mut enabled),
                    None => self.wrong(child, "want group=\"...\""),
                },
                "note" => {}
                _ => self.wrong(child, "want <listen>, <group> or <enable>"),
            }
        }
        if listens == 0 {
            self.wrong(element, "want a <listen>");
        }
        for group in &groups {
            self.imported.say(format!("group {} policy {}", group.name, group.policy));
        }
        match enabled {
            None => self.wrong(element, "want a <group> with enable=\"yes\""),
            Some((given, place)) => match groups.iter().find(|group| group.given == given) {
                Some(group) => self.imported.say(format!("group {} use", group.name)),
                None => {
                    let text = format!("<enable>: there is no group {}", quoted(&given));
                    self.errors.push(Note { place, text });
                }
            },
        }
        self.ends.push(self.imported.lines.len());
    }

    fn enable(&mut self, element: &Element, group: String, enabled: &mut Option<(String, Place)>) {
        if let Some((before, _)) = enabled.replace((group.clone(), element.place)) {
            self.note(
                element,
                format!("two groups are enabled: {} counts, not {}", quoted(&group), quoted(&before)),
            );
        }
    }

    fn listen(&mut self, element: &Element, is_further: bool) {
        match address(element) {
            Ok((host, port)) => {
                let add = if is_further { "add " } else { "" };
                let host = if host == "*" { "0.0.0.0" } else { &host };
                let at = format!("{}:{port}", bracketed(host));
                match ListenAddr::parse(&at) {
                    Ok(_) => self.imported.say(format!("listen {add}{at}")),
                    Err(trouble) => self.wrong(element, format!("ip: {trouble}")),
                }
            }
            Err(trouble) => self.wrong(element, trouble),
        }
    }

    fn group(
        &mut self,
        element: &Element,
        groups: &mut Names,
        names: &mut Names,
        number: &mut usize,
    ) -> Option<Group> {
        let Some(given) = element.get("name").filter(|name| !name.is_empty()) else {
            self.wrong(element, "want name=\"...\"");
            return None;
        };
        let (name, note) = groups.name(given, "group");
        note.into_iter().for_each(|note| self.note(element, note));
        let (policy, weights) = match self.scheduler(element) {
            Ok(scheduler) => scheduler,
            Err(trouble) => {
                self.wrong(element, trouble);
                return None;
            }
        };
        let mut hosts = 0;
        for child in &element.children {
            match child.name.as_str() {
                "host" | "client" => {
                    self.host(child, hosts, &name, weights, names, *number);
                    (hosts, *number) = (hosts + 1, *number + 1);
                }
                "note" => {}
                _ => self.wrong(child, "want <host>"),
            }
        }
        if hosts == 0 {
            self.wrong(element, "want a <host>");
        }
        Some(Group { name, given: given.to_owned(), policy })
    }

    fn scheduler(&self, element: &Element) -> Result<(&'static str, bool), String> {
        let words = || SCHEDULERS.iter().map(|(word, ..)| *word).collect::<Vec<_>>().join(", ");
        let given =
            element.get("scheduler").ok_or_else(|| format!("want scheduler=\"...\", one of {}", words()))?;
        let word = if given == LWEIGHTED { "weightr" } else { given };
        let known = SCHEDULERS.iter().find(|(known, ..)| *known == word);
        let known = known.map(|(_, policy, weights)| (*policy, *weights));
        known.ok_or_else(|| format!("scheduler: want one of {}, got {}", words(), quoted(given)))
    }

    fn host(
        &mut self,
        element: &Element,
        place: usize,
        group: &str,
        weights: bool,
        names: &mut Names,
        number: usize,
    ) {
        let (host, port) = match address(element) {
            Ok(address) => address,
            Err(trouble) => return self.wrong(element, trouble),
        };
        if let Err(trouble) = Host::parse(&host) {
            return self.wrong(element, format!("ip: {trouble}"));
        }
        let given = element.get("name").map_or_else(|| format!("host.{place}"), str::to_owned);
        let (name, note) = names.name(&given, "host");
        note.into_iter().for_each(|note| self.note(element, note));
        let mut line =
            format!("server {number} name {name} address {} port {port} group {group}", written(&host));
        if let Some(weight) = element.get("weight") {
            match weight.trim().parse::<u32>().ok().filter(|weight| *weight <= 65_535) {
                Some(weight) if weights => line += &format!(" weight {weight}"),
                Some(1) => {}
                Some(_) => self.note(element, "weight: only the scheduler weightr goes by it"),
                None => {
                    let text = format!("weight: want 0 to 65535, got {}", quoted(weight));
                    return self.wrong(element, text);
                }
            }
        }
        self.imported.say(line);
    }

    fn admin(&mut self, element: &Element) {
        if let Some(listen) = element.get("listen") {
            self.note(element, page_at(listen));
        }
        let mut users = 0;
        for child in &element.children {
            match child.name.as_str() {
                "web" | "ssh" if !self.is_on(child, "enable") => {}
                "web" => {
                    self.note(child, page_at(child.get("listen").unwrap_or("ADDRESS")));
                }
                "ssh" => {
                    let listen = child.get("listen").unwrap_or("2222");
                    let text = format!(
                        "the shell is penadmin's, with keys alone: penadmin --ssh {} --host-key FILE",
                        everywhere(listen)
                    );
                    self.note(child, text);
                }
                "user" => match user(child) {
                    Ok(_) => users += 1,
                    Err(text) => self.errors.push(Note { place: child.place, text }),
                },
                "note" => {}
                _ => self.wrong(child, "want <web>, <ssh> or <user>"),
            }
        }
        if users > 0 {
            self.note(
                element,
                "penadmin import CONFIG.XML FILE makes a users file; passwords must be set anew",
            );
        }
    }

    fn manager(&mut self, element: &Element) -> Manager {
        let mut manager = Manager::default();
        for child in &element.children {
            match child.name.as_str() {
                "hostCheck" => manager.host_check = self.interval(child, HOST_CHECK_SECONDS),
                "configCheck" => manager.config_check = self.interval(child, CONFIG_CHECK_SECONDS),
                "heartbeat" if self.is_on(child, "enable") => {
                    self.note(
                        child,
                        "it does nothing in txLoadBalancer; here servers that are well are checked, too",
                    );
                }
                "heartbeat" | "note" => {}
                _ => self.note(child, "want <hostCheck>, <configCheck> or <heartbeat>; it has no effect"),
            }
        }
        manager
    }

    /// Of a task that is enabled.
    fn interval(&mut self, element: &Element, default: f64) -> Option<f64> {
        let is_on = self.is_on(element, "enable");
        let seconds = match element.get("interval") {
            None => default,
            Some(text) => match text.trim().parse().ok().filter(|seconds| (1.0..=86_400.0).contains(seconds))
            {
                Some(seconds) => seconds,
                None => {
                    self.wrong(element, format!("interval: want 1 to 86400 seconds, got {}", quoted(text)));
                    default
                }
            },
        };
        is_on.then_some(seconds)
    }

    fn logging(&mut self, element: &Element, is_old: bool) {
        match element.get("file") {
            Some(file) if is_old => self.imported.lines.insert(0, format!("messages {}", written(file))),
            Some(file) => {
                let text = format!(
                    "file has no effect in txLoadBalancer; here it would be: messages {}",
                    written(file)
                );
                self.note(element, text);
            }
            None => {}
        }
        if is_old && element.get("file").is_some() {
            self.ends.iter_mut().for_each(|end| *end += 1);
        }
    }

    fn control(&mut self, element: &Element) {
        if element.get("socket").is_some() {
            self.note(
                element,
                "pen's control socket (-C) answers client_of HOST:PORT; it does not speak AMP",
            );
        }
    }

    /// With what holds for every service.
    fn finish(self, manager: &Manager) -> Imported {
        let Reader { mut imported, ends, .. } = self;
        let checks = manager.host_check.map(|seconds| {
            let quarter_ms = (seconds * 1_000.0 / f64::from(RISE)) as u64;
            [
                "check connect".to_owned(),
                format!("check_interval {}", Seconds(quarter_ms)),
                format!("check_timeout {CHECK_TIMEOUT}"),
                format!("check_rise {RISE}"),
            ]
        });
        match &checks {
            Some(checks) => {
                for end in ends.iter().rev() {
                    imported.lines.splice(end..end, checks.iter().cloned());
                }
                imported.note(0, "hostCheck: here servers that are well are checked, too, not only those that failed");
            }
            None => imported.note(
                0,
                "hostCheck is off: there a host that failed stays out until a restart; here it is tried again after \
                 the seconds of blacklist (30)",
            ),
        }
        if let Some(seconds) = manager.config_check {
            imported.lines.insert(0, format!("autosave {}", seconds.ceil()));
        }
        imported
    }
}

/// Where the page is: penadmin wants TLS where other machines could connect.
fn page_at(listen: &str) -> String {
    let is_near = ["localhost:", "127.", "[::1]:"].iter().any(|start| listen.starts_with(start));
    let tls = if is_near { "" } else { " --tls-cert FILE --tls-key FILE" };
    format!("the page is penadmin's: penadmin --listen {}{tls}", everywhere(listen))
}

/// An address in which `*` is every IPv4 address.
fn everywhere(listen: &str) -> String {
    listen.strip_prefix("*:").map_or_else(|| listen.to_owned(), |port| format!("0.0.0.0:{port}"))
}

/// Host and port of the attribute `ip`.
fn address(element: &Element) -> Result<(String, u16), String> {
    let text = element.get("ip").ok_or("want ip=\"HOST:PORT\"")?.trim();
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.starts_with('['));
    let (host, port) = parts.ok_or_else(|| format!("ip: want HOST:PORT, got {}", quoted(text)))?;
    let port = port.parse().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| format!("ip: want a port from 1 to 65535, got {}", quoted(text)))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host {
        "" => Err(format!("ip: want HOST:PORT, got {}", quoted(text))),
        host => Ok((host.to_owned(), port)),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
#[path = "txlb_tests.rs"]
mod tests;
