// What is left of a number once it was stored as f16.

fn stored(v: f32) -> f32 {
    return f32(f16(v));
}

fn stored4(v: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(vec4<f16>(v));
}
