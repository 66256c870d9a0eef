//! (in work) Pen's traffic log lines: written by pen, read by mergelogs and penlogd.
