// A multiply-add as kernels write it, which a driver may make one instruction or two.

fn multiply_add(a: f32, m: f32, c: f32) -> f32 {
    return a * m + c;
}

fn multiply_add4(a: vec4<f32>, m: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    return a * m + c;
}
