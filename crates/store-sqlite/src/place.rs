//! Where a store lies: one name for its file however it is reached, files and directories for the node's own user alone (they
//! hold what messages say and whom they go to), and directories that are still there after a power cut.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The mode of files that are made; SQLite gives its log and index the mode of the database.
const FILE_MODE: u32 = 0o600;
/// The mode of directories that are made.
const DIRECTORY_MODE: u32 = 0o700;

/// The path of a file that belongs to `file`.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The one name of `file`, which may not be there yet, without links: what is derived from it, the lock above all, is the same
/// for everybody. Its directory must be there.
pub(crate) fn canonical(file: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match (fs::read_link(file), file.file_name()) {
            // A link to what is not there yet. Links that go round in circles are another error.
            (Ok(target), _) => canonical(&directory_of(file).join(target)),
            (Err(_), Some(name)) => Ok(fs::canonicalize(directory_of(file))?.join(name)),
            (Err(_), None) => Err(error),
        },
        known => known,
    }
}

/// The directory of a file.
pub(crate) fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory and what leads to it, and sees to it that they stay.
pub(crate) fn directory_make(directory: &Path) -> io::Result<()> {
    let missing: Vec<_> =
        directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    missing.into_iter().try_for_each(|made| directory_sync(directory_of(made)))
}

/// Brings the names in a directory to disk.
pub(crate) fn directory_sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// How a file is opened for writing that is made where there is none, for the node's own user alone.
pub(crate) fn private() -> OpenOptions {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(FILE_MODE);
    options
}

/// A file that is made under another name and gets its own when it is complete; dropped before that, it is gone.
pub(crate) struct Fresh {
    path: PathBuf,
}

impl Fresh {
    /// Makes an empty file beside `file`, in place of one that a crash left there. Whoever else may make one for the same file
    /// at the same time needs another suffix.
    pub(crate) fn beside(file: &Path, suffix: &str) -> io::Result<Self> {
        let fresh = Self { path: beside(file, suffix) };
        fresh.remove()?;
        private().open(&fresh.path)?;
        Ok(fresh)
    }

    /// Where it is for now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings it to disk and gives it the name `file`.
    pub(crate) fn put(self, file: &Path) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, file)?;
        directory_sync(directory_of(file))
    }

    fn remove(&self) -> io::Result<()> {
        for leftover in [self.path.clone(), beside(&self.path, "-wal"), beside(&self.path, "-shm")] {
            match fs::remove_file(&leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // What cannot be removed is removed by whoever makes the next one.
        drop(self.remove());
    }
}
