//! The assignments of a service that matter to etcd: what adds up, what resets, what the last one decides.

use super::syntax::Assignment;

/// The assignments of a unit and its drop-ins that matter here, after resets.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) commands: Vec<String>,
    /// `ExecStartPre=`, `ExecStop=` and their like, which give a container away.
    pub(super) other_commands: Vec<String>,
    pub(super) environment: Vec<String>,
    pub(super) environment_files: Vec<String>,
    pub(super) pass_environment: Vec<String>,
    pub(super) unset_environment: Vec<String>,
    pub(super) kind: String,
    pub(super) user: String,
    pub(super) working_directory: String,
    pub(super) root_directory: String,
}

impl Settings {
    pub(super) fn take(&mut self, assignment: Assignment) {
        let Assignment { key, value, .. } = assignment;
        let list = match key.as_str() {
            "ExecStart" => &mut self.commands,
            "ExecStartPre" | "ExecStartPost" | "ExecStop" | "ExecStopPost" => {
                &mut self.other_commands
            }
            "Environment" => &mut self.environment,
            "EnvironmentFile" => &mut self.environment_files,
            "PassEnvironment" => &mut self.pass_environment,
            "UnsetEnvironment" => &mut self.unset_environment,
            "Type" => return self.kind = value,
            "User" => return self.user = value,
            "WorkingDirectory" => return self.working_directory = value,
            "RootDirectory" | "RootImage" => return self.root_directory = value,
            _ => return,
        };
        if value.is_empty() {
            // Of several keys that share a list only one is known to be reset; that list only gives hints.
            list.clear();
        } else {
            list.push(value);
        }
    }
}
