use super::Normalise;
use reference::ops::{AffineRanges, ErasingConfig, Fill};
use serde::{Deserialize, Serialize};

/// How far a training image is moved at random, another way in every step. What is left out is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Degrees to each side.
    pub rotation: f64,
    /// How far the factor is from 1, along each axis by itself.
    pub zoom: f64,
    /// Degrees to each side.
    pub shear: f64,
    /// Share of height and width, to all sides.
    pub shift: f64,
    /// Mirror every other image left to right.
    pub flip_horizontal: bool,
    /// Mirror every other image top to bottom.
    pub flip_vertical: bool,
    /// What comes in from outside.
    pub fill: FillRule,
}

/// What lies outside of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FillRule {
    /// The nearest pixel of its border.
    #[default]
    Nearest,
    /// Black.
    Black,
}

/// Which rectangles are erased. The defaults are torchvision's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Erasing {
    /// The share of images that lose a rectangle.
    pub probability: f64,
    /// Least and greatest share of the image.
    pub area: [f64; 2],
    /// Least and greatest height over width.
    pub aspect: [f64; 2],
}

impl Default for Erasing {
    fn default() -> Self {
        Self { probability: 0.5, area: [0.02, 0.33], aspect: [0.3, 3.3] }
    }
}

impl Augment {
    /// As the operation has it.
    pub fn ranges(&self) -> AffineRanges {
        AffineRanges {
            rotation: self.rotation as f32,
            shift_h: self.shift as f32,
            shift_w: self.shift as f32,
            shear: self.shear as f32,
            zoom: self.zoom as f32,
            flip_horizontal: self.flip_horizontal,
            flip_vertical: self.flip_vertical,
        }
    }

    /// As the operation has it, which works on pixels that were normalised already.
    pub fn fill(&self, normalise: Normalise) -> Fill {
        match self.fill {
            FillRule::Nearest => Fill::Nearest,
            FillRule::Black => Fill::Constant(normalise.scale_and_offset().1),
        }
    }
}

impl Erasing {
    /// As the operation has it: rectangles are painted black.
    pub fn config(&self, normalise: Normalise) -> ErasingConfig {
        let ([min_area, max_area], [min_aspect, max_aspect]) = (self.area, self.aspect);
        ErasingConfig {
            probability: self.probability as f32,
            min_area: min_area as f32,
            max_area: max_area as f32,
            min_aspect: min_aspect as f32,
            max_aspect: max_aspect as f32,
            value: normalise.scale_and_offset().1,
        }
    }
}
