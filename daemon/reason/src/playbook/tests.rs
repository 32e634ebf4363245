//! Each way a playbook can be wrong, and the place the error names.
