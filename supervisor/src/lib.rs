//! Run untrusted native plugins, each in a confined worker process.
