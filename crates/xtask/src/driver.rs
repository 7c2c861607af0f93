//! Makes sure the machine has a GPU adapter, at least Mesa's software one.

use std::io;
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::failure::Failure;
use crate::step::{self, say};

/// The package with Mesa's Vulkan drivers (the software one among them) on Debian and its relatives.
const DEBIAN_PACKAGE: &str = "mesa-vulkan-drivers";

/// What the machine has in the end.
#[derive(Debug)]
pub enum Adapter {
    /// At least one adapter, hardware or software.
    Present,
    /// None.
    Absent {
        /// One sentence on what to do about it.
        advice: String,
    },
}

/// Builds the trainer, asks it for an adapter, and installs Mesa's drivers where there is none and we may.
pub fn ensure() -> Result<Adapter, Failure> {
    step::run("Building the trainer", &mut step::cargo(["build", "--release", "--package", "trainer"]))?;
    step::heading("Looking for a GPU adapter");
    if probe()? {
        return Ok(Adapter::Present);
    }

    let host = Host::detect();
    let commands = match plan(&host) {
        Plan::Advise(advice) => return Ok(Adapter::Absent { advice }),
        Plan::Install(commands) => commands,
    };
    let all = shown(&commands);
    say(&format!("No GPU adapter found. Installing Mesa's Vulkan drivers, a software one among them:\n    {all}"));
    for command in &commands {
        if !install(command) {
            return Ok(Adapter::Absent {
                advice: format!("installing {DEBIAN_PACKAGE} failed: `{}`", command.join(" ")),
            });
        }
    }
    if probe()? {
        return Ok(Adapter::Present);
    }
    Ok(Adapter::Absent {
        advice: format!(
            "{DEBIAN_PACKAGE} is installed and still no adapter appears; `cargo run --release -p trainer -- doctor` shows why"
        ),
    })
}

/// Asks the trainer whether there is an adapter. Results belong on stdout and this is none, so all it prints goes to stderr.
fn probe() -> Result<bool, Failure> {
    let mut command = step::cargo(["run", "--quiet", "--release", "--package", "trainer", "--", "doctor", "--probe"]);
    match step::status(command.stdin(Stdio::null()).stdout(io::stderr()))? {
        0 => Ok(true),
        3 => Ok(false),
        code => Err(Failure::Step { title: "Looking for a GPU adapter".to_owned(), code }),
    }
}

/// Runs one installation command; false if it fails in any way.
fn install(command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else {
        return false;
    };
    Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whose packages a machine uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Debian,
    Fedora,
    Arch,
    OtherLinux,
    /// macOS, Windows and the rest: graphics drivers come with the system.
    NotLinux,
}

/// How we may install software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Privilege {
    Root,
    /// sudo without a password.
    Sudo,
    None,
}

/// What decides whether we install a driver.
#[derive(Debug)]
struct Host {
    family: Family,
    has_apt: bool,
    privilege: Privilege,
}

impl Host {
    fn detect() -> Self {
        let family = if env::consts::OS == "linux" {
            let text = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
            family(&text.unwrap_or_default())
        } else {
            Family::NotLinux
        };
        if family != Family::Debian {
            return Self { family, has_apt: false, privilege: Privilege::None };
        }
        let user = Command::new("id").arg("-u").output().map(|output| output.stdout).unwrap_or_default();
        Self {
            family,
            has_apt: step::succeeds(Command::new("apt-get").arg("--version")),
            privilege: privilege(&String::from_utf8_lossy(&user), || {
                step::succeeds(Command::new("sudo").args(["-n", "true"]))
            }),
        }
    }
}

/// Root needs no sudo, and sudo is only asked when it is needed.
fn privilege(user_id: &str, sudo_works: impl FnOnce() -> bool) -> Privilege {
    if user_id.trim() == "0" {
        Privilege::Root
    } else if sudo_works() {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

/// The family named by the text of `/etc/os-release`: by `ID`, or else by the first known name in `ID_LIKE`.
fn family(os_release: &str) -> Family {
    let value = |key: &str| {
        os_release
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| value.trim().trim_matches(['"', '\'']))
            .next_back()
            .unwrap_or_default()
    };
    let names = [value("ID"), value("ID_LIKE")].join(" ");
    names
        .split_whitespace()
        .find_map(|name| match name {
            "debian" | "ubuntu" => Some(Family::Debian),
            "fedora" | "rhel" | "centos" => Some(Family::Fedora),
            "arch" => Some(Family::Arch),
            _ => None,
        })
        .unwrap_or(Family::OtherLinux)
}

/// What to do on a machine without an adapter.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Run these, in order.
    Install(Vec<Vec<&'static str>>),
    /// Leave the machine alone and say this.
    Advise(String),
}

fn plan(host: &Host) -> Plan {
    let commands = match host.family {
        Family::Debian => {
            let mut commands = vec![vec!["apt-get", "update"], vec!["apt-get", "install", "-y", DEBIAN_PACKAGE]];
            let prefix: &[&str] = match host.privilege {
                Privilege::Root => &[],
                Privilege::Sudo => &["sudo", "-n"],
                Privilege::None => &["sudo"],
            };
            for command in &mut commands {
                command.splice(0..0, prefix.iter().copied());
            }
            if host.has_apt && host.privilege != Privilege::None {
                return Plan::Install(commands);
            }
            commands
        }
        Family::Fedora => vec![vec!["sudo", "dnf", "install", DEBIAN_PACKAGE, "vulkan-loader"]],
        Family::Arch => vec![vec!["sudo", "pacman", "-S", "vulkan-swrast", "vulkan-icd-loader"]],
        Family::OtherLinux => {
            return Plan::Advise("install your distribution's Vulkan loader and Mesa Vulkan drivers".to_owned());
        }
        Family::NotLinux => {
            return Plan::Advise("graphics drivers come with this operating system: install its updates".to_owned());
        }
    };
    Plan::Advise(format!("install a Vulkan driver with `{}`", shown(&commands)))
}

/// Commands as one line for a shell.
fn shown(commands: &[Vec<&str>]) -> String {
    commands.iter().map(|command| command.join(" ")).collect::<Vec<_>>().join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_read_from_os_release() {
        let cases = [
            ("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n", Family::Debian),
            ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", Family::Debian),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Family::Debian),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Family::Fedora),
            ("ID=fedora\n", Family::Fedora),
            ("ID='arch'\n", Family::Arch),
            ("ID=nixos", Family::OtherLinux),
            ("# ID=debian\nNAME=debian\nVARIANT_ID=debian\n", Family::OtherLinux),
            ("", Family::OtherLinux),
            ("ID\n=\nID=", Family::OtherLinux),
        ];
        for (text, expected) in cases {
            assert_eq!(family(text), expected, "{text:?}");
        }
    }

    #[test]
    fn sudo_is_asked_only_when_it_is_needed() {
        assert_eq!(privilege("0\n", || unreachable!("root needs no sudo")), Privilege::Root);
        assert_eq!(privilege("1000\n", || true), Privilege::Sudo);
        assert_eq!(privilege("1000\n", || false), Privilege::None);
        assert_eq!(privilege("", || false), Privilege::None);
    }

    fn debian(privilege: Privilege) -> Host {
        Host { family: Family::Debian, has_apt: true, privilege }
    }

    #[test]
    fn debian_installs_where_it_may() {
        let Plan::Install(commands) = plan(&debian(Privilege::Root)) else { panic!("root may install") };
        assert_eq!(shown(&commands), "apt-get update && apt-get install -y mesa-vulkan-drivers");
        let Plan::Install(commands) = plan(&debian(Privilege::Sudo)) else { panic!("sudo may install") };
        assert_eq!(shown(&commands), "sudo -n apt-get update && sudo -n apt-get install -y mesa-vulkan-drivers");
    }

    #[test]
    fn without_the_right_the_command_is_named() {
        let expected =
            "install a Vulkan driver with `sudo apt-get update && sudo apt-get install -y mesa-vulkan-drivers`";
        assert_eq!(plan(&debian(Privilege::None)), Plan::Advise(expected.to_owned()));
        let without_apt = Host { has_apt: false, ..debian(Privilege::Root) };
        assert!(matches!(plan(&without_apt), Plan::Advise(_)));
    }

    #[test]
    fn only_debian_is_ever_installed_on() {
        for family in [Family::Fedora, Family::Arch, Family::OtherLinux, Family::NotLinux] {
            let host = Host { family, has_apt: true, privilege: Privilege::Root };
            let Plan::Advise(advice) = plan(&host) else { panic!("{family:?} must not install") };
            assert!(!advice.contains("apt-get"), "{advice}");
        }
    }
}
