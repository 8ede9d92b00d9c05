"""The core: pure decisions. No Faust, no network, no clock, no random number; time comes in as an argument."""
