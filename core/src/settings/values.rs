//! The values of settings, by kind. How they are spelled says the command table.

use pen_proto::addr::ListenAddr;
use pen_proto::commands::{
    Address, AddressValue, Assignment, Choice, Flag, Kind, LogTarget, Number, OneOf, ROWS, Scope, Setting,
    Text,
};
use std::net::IpAddr;

/// A value for every setting but those that are lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    flags: [bool; Flag::COUNT],
    numbers: [u64; Number::COUNT],
    choices: [u8; Choice::COUNT],
    texts: [Option<String>; Text::COUNT],
    addresses: [Option<AddressValue>; Address::COUNT],
}

impl Values {
    pub fn flag(&self, flag: Flag) -> bool {
        self.flags[flag as usize]
    }

    pub fn set_flag(&mut self, flag: Flag, on: bool) {
        self.flags[flag as usize] = on;
    }

    pub fn number(&self, number: Number) -> u64 {
        self.numbers[number as usize]
    }

    /// A number of which there may be none.
    pub fn number_or_none(&self, number: Number) -> Option<u64> {
        Some(self.number(number)).filter(|value| *value != Number::NONE)
    }

    pub fn set_number(&mut self, number: Number, value: u64) {
        self.numbers[number as usize] = value;
    }

    pub fn choice<T: OneOf>(&self) -> T {
        T::ALL[usize::from(self.choices[T::SETTING as usize])]
    }

    pub fn set_choice<T: OneOf>(&mut self, value: T) {
        self.choices[T::SETTING as usize] = value.place();
    }

    pub fn text(&self, text: Text) -> Option<&str> {
        self.texts[text as usize].as_deref()
    }

    pub fn set_text(&mut self, text: Text, value: Option<String>) {
        self.texts[text as usize] = value;
    }

    pub fn address(&self, address: Address) -> Option<&AddressValue> {
        self.addresses[address as usize].as_ref()
    }

    pub fn address_mut(&mut self, address: Address) -> Option<&mut AddressValue> {
        self.addresses[address as usize].as_mut()
    }

    pub fn set_address(&mut self, address: Address, value: Option<AddressValue>) {
        self.addresses[address as usize] = value;
    }

    /// Where clients connect.
    pub fn listen(&self) -> Option<&ListenAddr> {
        self.listen_address(Address::Listen)
    }

    /// The same, to be changed.
    pub fn listen_mut(&mut self) -> Option<&mut ListenAddr> {
        match self.address_mut(Address::Listen) {
            Some(AddressValue::Listen(address)) => Some(address),
            _ => None,
        }
    }

    /// Where commands come from.
    pub fn control(&self) -> Option<&ListenAddr> {
        self.listen_address(Address::Control)
    }

    /// Where metrics and health are served.
    pub fn metrics_listen(&self) -> Option<&ListenAddr> {
        self.listen_address(Address::MetricsListen)
    }

    /// Where lines of GLB's language come from.
    pub fn control_glb(&self) -> Option<&ListenAddr> {
        self.listen_address(Address::ControlGlb)
    }

    fn listen_address(&self, address: Address) -> Option<&ListenAddr> {
        match self.address(address) {
            Some(AddressValue::Listen(address)) => Some(address),
            _ => None,
        }
    }

    /// Where the log goes.
    pub fn log(&self) -> Option<&LogTarget> {
        match self.address(Address::Log) {
            Some(AddressValue::Target(target)) => Some(target),
            _ => None,
        }
    }

    /// Local address of upstream sockets.
    pub fn source(&self) -> Option<IpAddr> {
        match self.address(Address::Source) {
            Some(AddressValue::Ip(ip)) => Some(*ip),
            _ => None,
        }
    }

    /// The list of addresses that the tarpit takes; `None`: there is no tarpit.
    pub fn tarpit_acl(&self) -> Option<usize> {
        // The bounds of the row make it fit.
        self.number_or_none(Number::TarpitAcl).map(|list| list as usize)
    }

    /// How servers are chosen, as Pen's `mode` answers: each word preceded by `no` when it is off.
    pub fn mode(&self) -> String {
        let words = [Flag::Hash, Flag::Roundrobin, Flag::Stubborn, Flag::Weight, Flag::Prio].map(|flag| {
            let no = if self.flag(flag) { "" } else { "no " };
            format!("{no}{}", flag.row().word)
        });
        words.join(" ")
    }

    /// Gives a setting its value.
    pub fn set(&mut self, assignment: &Assignment) {
        match assignment {
            Assignment::Flag(flag, on) => self.set_flag(*flag, *on),
            Assignment::Number(number, value) => self.set_number(*number, *value),
            Assignment::Choice(choice, place) => self.choices[*choice as usize] = *place,
            Assignment::Text(text, value) => self.set_text(*text, Some(value.clone())),
            Assignment::Address(address, value) => self.set_address(*address, Some(value.clone())),
        }
    }

    /// Takes a setting back: it has its default, or no value.
    pub fn unset(&mut self, setting: Setting) {
        match (setting, setting.row().kind) {
            (Setting::Flag(flag), Kind::Flag { default, .. }) => self.set_flag(flag, default),
            (Setting::Number(number), Kind::Number { default, .. } | Kind::Mode { default, .. }) => {
                self.set_number(number, default)
            }
            (Setting::Number(number), Kind::Seconds { default_ms, .. }) => {
                self.set_number(number, default_ms)
            }
            (Setting::Number(number), Kind::Decimal { default, .. }) => self.set_number(number, default),
            (Setting::Number(number), Kind::Rate { .. } | Kind::Every { .. }) => self.set_number(number, 0),
            (Setting::Choice(choice), Kind::Choice { default, .. }) => {
                self.choices[choice as usize] = default
            }
            (Setting::Text(text), _) => self.set_text(text, None),
            (Setting::Address(address), _) => self.set_address(address, None),
            _ => unreachable!("a row is of the kind of its setting"),
        }
    }

    /// What would give a setting the value it has; `None` for a setting without a value.
    pub fn get(&self, setting: Setting) -> Option<Assignment> {
        match setting {
            Setting::Flag(flag) => Some(Assignment::Flag(flag, self.flag(flag))),
            Setting::Number(number) => {
                self.number_or_none(number).map(|value| Assignment::Number(number, value))
            }
            Setting::Choice(choice) => Some(Assignment::Choice(choice, self.choices[choice as usize])),
            Setting::Text(text) => self.text(text).map(|value| Assignment::Text(text, value.to_owned())),
            Setting::Address(address) => {
                self.address(address).map(|value| Assignment::Address(address, value.clone()))
            }
        }
    }

    /// The value as its command has it; `None` for a setting without a value.
    pub fn said(&self, setting: Setting) -> Option<String> {
        self.get(setting).map(|assignment| assignment.to_string())
    }

    /// Whether a setting has the value of the table.
    pub fn is_default(&self, setting: Setting) -> bool {
        match (setting, setting.row().kind) {
            (Setting::Flag(flag), Kind::Flag { default, .. }) => self.flag(flag) == default,
            (Setting::Number(number), Kind::Number { default, .. } | Kind::Mode { default, .. }) => {
                self.number(number) == default
            }
            (Setting::Number(number), Kind::Seconds { default_ms, .. }) => self.number(number) == default_ms,
            (Setting::Number(number), Kind::Decimal { default, .. }) => self.number(number) == default,
            (Setting::Number(number), Kind::Rate { .. } | Kind::Every { .. }) => self.number(number) == 0,
            (Setting::Choice(choice), Kind::Choice { default, .. }) => {
                self.choices[choice as usize] == default
            }
            (Setting::Text(text), _) => self.text(text).is_none(),
            (Setting::Address(address), _) => self.address(address).is_none(),
            _ => unreachable!("a row is of the kind of its setting"),
        }
    }

    /// Takes the flags and numbers of a scope from there.
    pub(super) fn take_over(&mut self, other: &Values, scope: Scope) {
        for row in ROWS.iter().filter(|row| row.scope == scope) {
            match row.kind.setting() {
                Some(Setting::Flag(flag)) => self.set_flag(flag, other.flag(flag)),
                Some(Setting::Number(number)) => self.set_number(number, other.number(number)),
                _ => {}
            }
        }
    }

    /// Those that whoever serves clients goes by: what names files and addresses is opened for it, but for `source`.
    pub(super) fn for_workers(&self) -> Values {
        let mut values = Values { texts: Default::default(), addresses: Default::default(), ..*self };
        values.set_address(Address::Source, self.address(Address::Source).cloned());
        values
    }
}

impl Default for Values {
    /// The defaults of the command table.
    fn default() -> Values {
        let mut values = Values {
            flags: [false; Flag::COUNT],
            numbers: [0; Number::COUNT],
            choices: [0; Choice::COUNT],
            texts: Default::default(),
            addresses: Default::default(),
        };
        ROWS.iter().filter_map(|row| row.kind.setting()).for_each(|setting| values.unset(setting));
        values
    }
}
