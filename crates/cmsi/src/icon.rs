//! The icons of `get_msg_type`, drawn here: sixteen by sixteen, one colour on nothing, as a bare base64 `.ico`.

use base64::{Engine, engine::general_purpose::STANDARD};

/// A drawn icon: base64, without a `data:` prefix.
pub(crate) type Icon = String;

/// A picture: `#` is drawn.
pub(crate) type Picture = [&'static str; SIDE];

const SIDE: usize = 16;

/// Blue, green, red.
pub(crate) const ACTIVE: [u8; 3] = [0xff, 0x84, 0x3a];
/// Grey for a type that is not active.
pub(crate) const INACTIVE: [u8; 3] = [0xb0, 0xb0, 0xb0];

/// WeChat and WeCom.
pub(crate) const BUBBLE: Picture = [
    "                ",
    "   #######      ",
    "  #########     ",
    " ###########    ",
    " ## ##### ##    ",
    " ###########    ",
    " ###########    ",
    "  #####         ",
    "   ### #######  ",
    "  ### #########  ",
    "  #  ## ### ### ",
    "     ########## ",
    "      ########  ",
    "       ######   ",
    "           ##   ",
    "                ",
];

/// Mail.
pub(crate) const ENVELOPE: Picture = [
    "                ",
    "                ",
    "                ",
    "################",
    "##            ##",
    "# ##        ## #",
    "#   ##    ##   #",
    "#     ####     #",
    "#      ##      #",
    "#              #",
    "#              #",
    "#              #",
    "################",
    "                ",
    "                ",
    "                ",
];

/// SMS.
pub(crate) const PHONE: Picture = [
    "   ##########   ",
    "   #        #   ",
    "   # ###### #   ",
    "   # #    # #   ",
    "   # # ## # #   ",
    "   # #    # #   ",
    "   # # ## # #   ",
    "   # #    # #   ",
    "   # ###### #   ",
    "   #   ##   #   ",
    "   #        #   ",
    "   ##########   ",
    "   #        #   ",
    "   #   ##   #   ",
    "   #        #   ",
    "   ##########   ",
];

/// Voice.
pub(crate) const SPEAKER: Picture = [
    "                ",
    "       ##    #  ",
    "      ###     # ",
    "     ####  #   #",
    "    #####   #  #",
    "#########    # #",
    "#########    # #",
    "#########    # #",
    "#########    # #",
    "#########    # #",
    "    #####   #  #",
    "     ####  #   #",
    "      ###     # ",
    "       ##    #  ",
    "                ",
    "                ",
];

/// The file: directory, bitmap header, palette of two, the drawing, and the mask that leaves the rest transparent.
pub(crate) fn draw(picture: &Picture, colour: [u8; 3]) -> Icon {
    const BITMAP_BYTES: u32 = 40 + 2 * 4 + 2 * (SIDE as u32) * 4;
    let mut file = Vec::with_capacity(22 + BITMAP_BYTES as usize);
    // One icon, 16 by 16, two colours, one bit per pixel, its bytes at 22.
    file.extend([0, 0, 1, 0, 1, 0, SIDE as u8, SIDE as u8, 2, 0, 1, 0, 1, 0]);
    file.extend(BITMAP_BYTES.to_le_bytes());
    file.extend(22u32.to_le_bytes());
    // The bitmap counts its height twice: drawing and mask.
    for number in [40, SIDE as u32, 2 * SIDE as u32, 1 | 1 << 16, 0, 0, 0, 0, 2, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, colour[0], colour[1], colour[2], 0]);
    let row = |line: &str| line.bytes().take(SIDE).fold(0u16, |bits, byte| bits << 1 | u16::from(byte == b'#'));
    // Rows go from the bottom up and fill four bytes each.
    let rows = || picture.iter().rev().map(|line| row(line));
    for bits in rows().chain(rows().map(|bits| !bits)) {
        file.extend(bits.to_be_bytes());
        file.extend([0, 0]);
    }
    STANDARD.encode(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn icons_are_ico_files() {
        for picture in [&BUBBLE, &ENVELOPE, &PHONE, &SPEAKER] {
            let bytes = STANDARD.decode(draw(picture, ACTIVE)).expect("base64");
            assert_eq!(infer::get(&bytes).map(|kind| kind.mime_type()), Some("image/vnd.microsoft.icon"));
            assert_eq!(bytes.len(), 22 + 40 + 8 + 128);
            assert_ne!(draw(picture, ACTIVE), draw(picture, INACTIVE));
        }
    }
}
