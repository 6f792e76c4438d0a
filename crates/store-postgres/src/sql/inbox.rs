//! Statements about broadcasts, which every node has.

statements! {
    /// Keeps message $1 of app $2 as a broadcast on channel $3 about $4 of type $5, fired at $6.
    BROADCAST_ADD = "INSERT INTO broadcast (message, app, channel, business, kind, at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT DO NOTHING";
}
