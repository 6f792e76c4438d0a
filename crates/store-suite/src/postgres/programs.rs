//! PostgreSQL's programs, where they are and as whom they run: the server refuses to be root, so where we are root it is run by
//! the user that Debian's package makes for it.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Whom Debian's package makes to run the server.
const USER: &str = "postgres";

/// The programs of one installed version, and who runs them.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    /// User and group, where it is not ourselves.
    user: Option<(u32, u32)>,
}

impl Programs {
    /// The newest version installed.
    pub(super) fn find() -> Self {
        let folder = debian().or_else(on_path);
        let folder = folder.expect("PostgreSQL's server is not installed: scripts/setup.sh test installs it");
        let user = (number("-u", None) == 0).then(|| (number("-u", Some(USER)), number("-g", Some(USER))));
        Self { folder, user }
    }

    /// A program of the server, to be run by its user in `place`.
    pub(super) fn command(&self, name: &str, place: &Path) -> Command {
        let mut command = self.command_as_ourselves(name);
        self.run_by_user(&mut command, place);
        command
    }

    /// A program of the client.
    pub(super) fn command_as_ourselves(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        command.stdin(Stdio::null()).env("LC_ALL", "C");
        command
    }

    /// Lets the server's user run `command` in `place`.
    pub(super) fn run_by_user(&self, command: &mut Command, place: &Path) {
        command.current_dir(place);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
    }

    /// Where the program `name` is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes `directory` the property of the server's user.
    pub(super) fn give(&self, directory: &Path) {
        if let Some((user, group)) = self.user {
            chown(directory, Some(user), Some(group)).expect("root may give a directory away");
        }
    }
}

fn debian() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?.flatten();
    let numbered = versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let folders = numbered.map(|(version, path)| (version, path.join("bin")));
    folders.filter(|(_, folder)| folder.join("postgres").exists()).max().map(|(_, folder)| folder)
}

fn on_path() -> Option<PathBuf> {
    let mut look = Command::new("sh");
    look.args(["-c", "command -v postgres"]);
    let found = PathBuf::from(run(look).ok()?.trim_end());
    Some(fs::canonicalize(found).ok()?.parent()?.to_owned())
}

/// The number of a user or of its group; of ourselves where none is named.
fn number(which: &str, user: Option<&str>) -> u32 {
    let mut id = Command::new("id");
    id.arg(which).args(user);
    let said = run(id).unwrap_or_else(|error| panic!("who is {user:?}: {error}"));
    said.trim_end().parse().expect("a number")
}

/// Runs a command to its end: what it wrote, or what it complained about.
pub(super) fn run(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} does not run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
