//! Values that stand in the configuration as texts of their own form.

/// Reads and writes each of these types as the text that it is parsed from and shown as.
macro_rules! as_text {
    ($($type:ty),+ $(,)?) => {
        $(
            impl serde::Serialize for $type {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> serde::Deserialize<'de> for $type {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                }
            }
        )+
    };
}

as_text!(
    super::Endpoint,
    super::JwksUrl,
    super::Network,
    super::OriginPattern,
    super::ProxyPeer,
    super::RedisUrl,
    super::UnixMode
);
