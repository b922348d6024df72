//! Small connections, segment by segment.

use super::*;
