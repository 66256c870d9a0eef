//! Certificates by the name a client asks for: the files of `ssl_sni_path`, and what is remembered of them.
//!
//! Names come from the network. One that is no host name is never looked for; those that are have no part that could
//! leave the directory (see [`host_name`]). Workers only look into the memory; a thread that lives while there is
//! something to look for reads the files, and then wakes them.

use super::authorities::Authorities;
use super::files;
use super::front::{Configs, Terms};
use super::staple::Response;
use crate::log::diag::{self, Severity};
use crate::sys::clock;
use crate::sys::errors::reason;
use crate::sys::published::lock;
use crate::sys::threads;
use pen_proto::commands::host_name;
use rustls::sign::CertifiedKey;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// Certificates that are remembered; for one more, the one that was not asked for the longest is forgotten.
const KNOWN_MAX: usize = 10_000;
/// Names without a certificate that are remembered, so that they are not looked for again at once.
const UNKNOWN_MAX: usize = 10_000;
/// How long an unknown name stays unknown.
const UNKNOWN_MS: u64 = 10_000;
/// After this time the files of a known name are read again, as Pen does with OCSP responses.
const FRESH_MS: u64 = 3_600_000;
/// Names being looked for; who asks for one more gets the default certificate.
const WAITING_MAX: usize = 1_000;
/// What there is to say of certificates that are served all the same is said up to so many times.
const TOLD_MAX: usize = 20;
/// Workers are woken after so many names were looked for, or when no more wait.
const BATCH: usize = 32;

/// The directory and what is remembered of it.
pub struct Directory {
    path: PathBuf,
    terms: Arc<Terms>,
    memory: Mutex<Memory>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Memory {
    known: HashMap<String, Known>,
    /// Until when they are taken to be unknown.
    unknown_until_ms: HashMap<String, u64>,
    waiting: VecDeque<String>,
    /// Whether the thread lives that looks for them.
    is_loading: bool,
}

struct Known {
    certified: Arc<CertifiedKey>,
    ocsp: Option<Arc<Response>>,
    authorities: Option<Arc<Authorities>>,
    configs: Arc<Configs>,
    /// What the operator should know of them; each begins with a file.
    told: Vec<String>,
    loaded_ms: u64,
    asked_ms: u64,
}

/// What is remembered of a name.
pub enum Found {
    Configs(Arc<Configs>),
    Unknown,
    /// It is being looked for.
    Later,
}

impl Directory {
    /// Reads every certificate in the directory. What is wrong with one of them is a warning, and one that was known
    /// `before` stays as it was.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn load(
        path: &Path,
        terms: Arc<Terms>,
        before: Option<&Directory>,
        warnings: &mut Vec<String>,
    ) -> Result<Directory, String> {
        let entries =
            std::fs::read_dir(path).map_err(|error| format!("{}: {}", path.display(), reason(&error)))?;
        let mut names: Vec<String> = entries.flatten().filter_map(|entry| name_of(&entry.path())).collect();
        names.sort();
        names.truncate(KNOWN_MAX);
        let directory =
            Directory { path: path.to_owned(), terms, memory: Mutex::default(), wake: OnceLock::new() };
        let now_ms = clock::monotonic_ms();
        let mut told = Vec::new();
        for name in names {
            let known = directory.read(&name, now_ms).or_else(|reason| {
                warnings.push(format!("ssl_sni_path: {reason}"));
                before.map_or(Ok(None), |before| directory.keep_from(before, &name, now_ms))
            });
            if let Ok(Some(known)) = known {
                told.extend(known.told.iter().map(|trouble| format!("ssl_sni_path: {trouble}")));
                directory.memory().known.insert(name, known);
            }
        }
        if told.len() > TOLD_MAX {
            let more = told.split_off(TOLD_MAX).len();
            told.push(format!("ssl_sni_path: and {more} more of this kind"));
        }
        warnings.append(&mut told);
        Ok(directory)
    }

    pub fn on_found(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let _ = self.wake.set(wake); // the same for ever, because there is one pen in a process
    }

    /// What is known of a name in lower case. Never waits for a file.
    pub fn find(self: &Arc<Self>, name: &str, now_ms: u64) -> Found {
        let mut memory = self.memory();
        if let Some(known) = memory.known.get_mut(name) {
            known.asked_ms = now_ms;
            let configs = known.configs.clone();
            if now_ms >= known.loaded_ms + FRESH_MS {
                known.loaded_ms = now_ms;
                self.look_for(&mut memory, name);
            }
            return Found::Configs(configs);
        }
        let is_unknown = memory.unknown_until_ms.get(name).is_some_and(|until_ms| now_ms < *until_ms);
        if is_unknown || host_name(name).as_deref() != Some(name) {
            return Found::Unknown;
        }
        match self.look_for(&mut memory, name) {
            true => Found::Later,
            false => Found::Unknown,
        }
    }

    /// Puts a name on the list; false when it is full or nobody works on it.
    fn look_for(self: &Arc<Self>, memory: &mut Memory, name: &str) -> bool {
        if memory.waiting.iter().any(|waiting| waiting == name) {
            return true;
        }
        if memory.waiting.len() >= WAITING_MAX {
            return false;
        }
        if !memory.is_loading {
            let directory = self.clone();
            if threads::spawn("pen-certificates", move || directory.work_off()).is_err() {
                return false;
            }
            memory.is_loading = true;
        }
        memory.waiting.push_back(name.to_owned());
        true
    }

    /// Looks for the names on the list until there are no more.
    fn work_off(&self) {
        for count in 1.. {
            let next = {
                let mut memory = self.memory();
                let next = memory.waiting.front().cloned();
                memory.is_loading = next.is_some();
                next
            };
            match next {
                Some(name) => self.look_up(&name),
                None => break,
            }
            if count % BATCH == 0 {
                self.wake_all();
            }
        }
        self.wake_all();
    }

    fn wake_all(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Reads the files of a name, and takes it off the list when the result is remembered.
    fn look_up(&self, name: &str) {
        let now_ms = clock::monotonic_ms();
        let read = self.read(name, now_ms);
        let mut memory = self.memory();
        memory.waiting.retain(|waiting| waiting != name);
        match read {
            Ok(Some(known)) => {
                let before = memory.known.get(name).map(|before| before.told.clone()).unwrap_or_default();
                let news: Vec<_> = known.told.iter().filter(|told| !before.contains(told)).cloned().collect();
                memory.remember(name, known);
                drop(memory);
                for trouble in news {
                    diag::say(Severity::Notice, format_args!("ssl_sni_path: {trouble}"));
                }
            }
            Ok(None) => memory.forget(name, now_ms),
            Err(reason) => {
                memory.note_unknown(name, now_ms);
                drop(memory);
                diag::once(&format!("sni {name}"), format_args!("ssl_sni_path: {reason}"));
            }
        }
    }

    /// What the files of a name say; `None` when there are none.
    fn read(&self, name: &str, now_ms: u64) -> Result<Option<Known>, String> {
        let file = |ending: &str| self.path.join(format!("{name}.{ending}"));
        let existing = |ending: &str| Some(file(ending)).filter(|path| path.exists());
        let Some(certificate) = existing("crt") else { return Ok(None) };
        let key = existing("key").unwrap_or_else(|| certificate.clone());
        let own = files::own(&certificate, &key, &self.terms.provider)?;
        let mut told: Vec<String> = own.warnings().cloned().collect();
        let ocsp = existing("ocsp").map(|path| Response::read(&path).map(Arc::new)).transpose()?;
        let authorities = match existing("ca").filter(|_| self.terms.asks_clients()) {
            Some(path) => {
                let mut authorities = Authorities::default();
                authorities.add_file(&path)?;
                told.extend(authorities.warnings());
                Some(Arc::new(authorities))
            }
            None => None,
        };
        self.known(Arc::new(own.certified), ocsp, authorities, told, now_ms).map(Some)
    }

    fn known(
        &self,
        certified: Arc<CertifiedKey>,
        ocsp: Option<Arc<Response>>,
        authorities: Option<Arc<Authorities>>,
        mut told: Vec<String>,
        now_ms: u64,
    ) -> Result<Known, String> {
        let configs = self.terms.configs(&certified, ocsp.as_deref(), authorities.clone(), &mut told)?;
        Ok(Known { certified, ocsp, authorities, configs, told, loaded_ms: now_ms, asked_ms: now_ms })
    }

    /// The certificate of before, under the terms of now.
    fn keep_from(&self, before: &Directory, name: &str, now_ms: u64) -> Result<Option<Known>, String> {
        let memory = before.memory();
        let Some(Known { certified, ocsp, authorities, .. }) = memory.known.get(name) else {
            return Ok(None);
        };
        // What there was to say of them was said.
        self.known(certified.clone(), ocsp.clone(), authorities.clone(), Vec::new(), now_ms).map(Some)
    }

    /// A panic elsewhere leaves the memory usable: every holder leaves it consistent.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

impl Memory {
    fn remember(&mut self, name: &str, known: Known) {
        self.unknown_until_ms.remove(name);
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(name) {
            let oldest =
                self.known.iter().min_by_key(|(_, known)| known.asked_ms).map(|(name, _)| name.clone());
            oldest.map(|name| self.known.remove(&name));
        }
        self.known.insert(name.to_owned(), known);
    }

    /// The files are not there, or not any more.
    fn forget(&mut self, name: &str, now_ms: u64) {
        self.known.remove(name);
        self.note_unknown(name, now_ms);
    }

    fn note_unknown(&mut self, name: &str, now_ms: u64) {
        if self.known.contains_key(name) {
            return; // what was read before is better than nothing
        }
        if self.unknown_until_ms.len() >= UNKNOWN_MAX {
            self.unknown_until_ms.retain(|_, until_ms| now_ms < *until_ms);
        }
        if self.unknown_until_ms.len() >= UNKNOWN_MAX {
            self.unknown_until_ms.clear();
        }
        self.unknown_until_ms.insert(name.to_owned(), now_ms + UNKNOWN_MS);
    }
}

/// `www.example.org` for `www.example.org.crt`; `None` for other files.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".crt")?;
    host_name(name).filter(|host| host == name)
}
