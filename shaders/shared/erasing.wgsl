// What `random_erasing` draws for an image. Needs philox.wgsl.

struct Erasing {
    // Out of 2^24
    chance: u32,
    // In pixels: the smallest, and the largest less it
    area: f32,
    area_span: f32,
    // Logarithms of height over width, likewise
    aspect: f32,
    aspect_span: f32,
}

const ATTEMPTS: u32 = 10u;

// In [0, 1).
fn unit(word: u32) -> f32 {
    return f32(word >> 8u) * (1.0 / 16777216.0);
}

// Top, left, height and width; no height where nothing is erased.
fn draw_rectangle(image: u32, step: u32, seed: vec2<u32>, size: vec2<u32>, erasing: Erasing) -> vec4<u32> {
    if philox4x32(vec4<u32>(image, ATTEMPTS, step, 2u), seed).x >> 8u >= erasing.chance {
        return vec4<u32>();
    }
    for (var attempt = 0u; attempt < ATTEMPTS; attempt++) {
        let words = philox4x32(vec4<u32>(image, attempt, step, 2u), seed);
        let area = erasing.area + erasing.area_span * unit(words.x);
        let aspect = exp(erasing.aspect + erasing.aspect_span * unit(words.y));
        let height = u32(round(sqrt(area * aspect)));
        let width = u32(round(sqrt(area / aspect)));
        if height < size.x && width < size.y {
            // mul_hi: floor(word * bound / 2^32).
            let top = mul_hi(words.z, size.x - height + 1u);
            return vec4<u32>(top, mul_hi(words.w, size.y - width + 1u), height, width);
        }
    }
    return vec4<u32>();
}
