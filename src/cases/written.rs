//! How some values of a [`Document`](super::Document) are written: forms that people read, in place of
//! those that the values have elsewhere.

/// A [`ServiceKey`] as one word.
pub(super) mod service_name {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::facts::ServiceKey;

    pub(in crate::cases) fn serialize<S: Serializer>(
        key: &ServiceKey,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(key)
    }

    pub(in crate::cases) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<ServiceKey, D::Error> {
        let text = String::deserialize(from)?;
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(ServiceKey::new(namespace, name))
            }
            Some(_) | None => Err(D::Error::custom(format!(
                "`{text}` is no Service: write its namespace and name, as in shop/web"
            ))),
        }
    }

    pub(in crate::cases) mod optional {
        use serde::{Deserializer, Serializer};

        use crate::facts::ServiceKey;

        pub(in crate::cases) fn serialize<S: Serializer>(
            key: &Option<ServiceKey>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match key {
                Some(key) => super::serialize(key, to),
                None => to.serialize_none(),
            }
        }

        pub(in crate::cases) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<ServiceKey>, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}

/// Extended communities in hexadecimal.
pub(super) mod extended {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::types::ExtendedCommunity;

    pub(in crate::cases) fn serialize<S: Serializer>(
        communities: &[ExtendedCommunity],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(communities.iter().map(ToString::to_string))
    }

    pub(in crate::cases) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<ExtendedCommunity>, D::Error> {
        let read = |text: String| {
            let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 16);
            let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            number
                .map(|number| ExtendedCommunity(number.to_be_bytes()))
                .ok_or_else(|| {
                    D::Error::custom(format!(
                        "`{text}` is no extended community: write its eight octets in \
                         hexadecimal, as in 0x0004fc004db2d05e"
                    ))
                })
        };
        let texts = Vec::<String>::deserialize(from)?;
        texts.into_iter().map(read).collect()
    }

    pub(in crate::cases) mod optional {
        use serde::{Deserializer, Serializer};

        use crate::types::ExtendedCommunity;

        pub(in crate::cases) fn serialize<S: Serializer>(
            communities: &Option<Vec<ExtendedCommunity>>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match communities {
                Some(communities) => super::serialize(communities, to),
                None => to.serialize_none(),
            }
        }

        pub(in crate::cases) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Vec<ExtendedCommunity>>, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}
