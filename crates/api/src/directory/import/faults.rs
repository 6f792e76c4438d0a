//! What is wrong with the files of an import, each with its line: the first [`limits::DIRECTORY_FAULTS_TOLD`], and how many in all.

use hongyan_core::limits;

use super::sheet::Place;

/// What is wrong, and where. Without a place it is about the whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub place: Option<Place>,
    pub what: String,
}

#[derive(Default)]
pub(super) struct Faults {
    told: Vec<Fault>,
    count: u64,
}

impl Faults {
    pub fn add(&mut self, place: Place, what: String) {
        self.push(Fault { place: Some(place), what });
    }

    pub fn push(&mut self, fault: Fault) {
        self.count += 1;
        if self.told.len() < limits::DIRECTORY_FAULTS_TOLD {
            self.told.push(fault);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there are, told or not.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Those that are told, in the order of files and lines.
    pub fn into_told(mut self) -> Vec<Fault> {
        self.told.sort_by_key(|fault| fault.place);
        self.told
    }
}
