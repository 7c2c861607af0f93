// What is left of a number once it was stored: all of it in f32. Rows that store f16 get stored_f16.wgsl instead.

fn stored(v: f32) -> f32 {
    return v;
}

fn stored4(v: vec4<f32>) -> vec4<f32> {
    return v;
}
