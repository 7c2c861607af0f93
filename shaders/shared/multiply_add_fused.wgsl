// A multiply-add by `fma()`, which some drivers make one instruction and some call a function for.

fn multiply_add(a: f32, m: f32, c: f32) -> f32 {
    return fma(a, m, c);
}

fn multiply_add4(a: vec4<f32>, m: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    return fma(a, m, c);
}
