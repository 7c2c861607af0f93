//! The ways to launch a kernel row that must not matter to what it computes.

use crate::altered::Altered;
use crate::lanes::shuffled;
use kernels::Row;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As it is.
    Plain,
    /// With its workgroups folded into rows of three: the tables fold from 65,536 on, which hardly a
    /// case reaches.
    Fold,
    /// With its lanes shuffled, if it has barriers and its lanes need not be those of a subgroup.
    Lanes,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Fold, Self::Lanes];

    /// The row to launch, or nothing where there is none to go this way.
    pub fn of(self, altered: Altered) -> Option<&'static dyn Row> {
        match self {
            Self::Plain => Some(altered.row()),
            Self::Fold => Some(altered.folded(3).row()),
            Self::Lanes => {
                let (id, path) = (format!("{} shuffled", altered.id()), altered.source().path);
                let text = has_barriers(&altered).then(|| shuffled(altered.source().text))??;
                Some(altered.text(&id, path, &text).row())
            }
        }
    }
}

/// Whether the row's own file has a barrier between invocations of more than one subgroup.
pub fn has_barriers(row: &dyn Row) -> bool {
    row.source().text.contains("workgroupBarrier()") && row.needs().subgroup_lanes == 0
}
