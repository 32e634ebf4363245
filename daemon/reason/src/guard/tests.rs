//! Each guard alone: what makes it object, and that it objects to nothing else.
