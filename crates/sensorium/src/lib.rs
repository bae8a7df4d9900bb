//! Sensorium.
