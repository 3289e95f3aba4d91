mod lease;
mod state;
