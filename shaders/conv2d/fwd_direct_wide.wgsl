// conv2d.fwd.direct_wide: y[n,oh,ow,co] = bias[co] + sum over kh,ci,kw of x[n,ih,iw,ci] * weight[kh,kw,ci,co]
//
// Idea versus direct: for one input channel and many output channels, where the loads of x and the stores of y
// take longer than the sums. A lane loads a line of x in blocks of four pixels, wherever the strip
// begins, and slides over them in registers; a workgroup has 16 output channels
// (shared/strip_subgroup_vec2.wgsl), which are stored four at a time. The order of the sum is that of
// direct. Needs c_in = 1, stride and dilation 1 along the width, at most 5 columns, w_in and c_out to be
// multiples of 4.
// Writes: y =.
// Dispatch: ceil(n*h_out*ceil(w_out / 8) / 8) * ceil(c_out / 16) workgroups of 8; a lane owns 8 pixels x 16 channels.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    h_out: u32,
    w_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

// Sixteen neighbouring pixels of a line of x, of which the first eight lie under the strip.
alias Line = array<vec4<f32>, 4>;

// The line one pixel further on.
fn slide_1(a: Line) -> Line {
    return Line(
        vec4(a[0].yzw, a[1].x),
        vec4(a[1].yzw, a[2].x),
        vec4(a[2].yzw, a[3].x),
        vec4(a[3].yzw, 0.0),
    );
}

fn slide_2(a: Line) -> Line {
    return Line(
        vec4(a[0].zw, a[1].xy),
        vec4(a[1].zw, a[2].xy),
        vec4(a[2].zw, a[3].xy),
        vec4(a[3].zw, 0.0, 0.0),
    );
}

fn choose(a: Line, b: Line, second: bool) -> Line {
    return Line(select(a[0], b[0], second), select(a[1], b[1], second), select(a[2], b[2], second), select(a[3], b[3], second));
}

// Four pixels of line `line` of x, all inside of the image or none; left of it wraps to a huge number.
fn block(line: u32, iw4: u32, inside_h: bool) -> vec4<f32> {
    let inside = inside_h & (iw4 < params.w_in / 4u);
    return select(vec4<f32>(), x[select(0u, line * (params.w_in / 4u) + iw4, inside)], inside);
}

// The pixels of a line of x from first_w on: whole blocks, moved by what first_w is off their beginning.
fn pixels(line: u32, first_w: u32, inside_h: bool) -> Line {
    let iw4 = bitcast<u32>(bitcast<i32>(first_w) >> 2u);
    let whole = Line(
        block(line, iw4, inside_h),
        block(line, iw4 + 1u, inside_h),
        block(line, iw4 + 2u, inside_h),
        block(line, iw4 + 3u, inside_h),
    );
    let even = choose(whole, slide_2(whole), (first_w & 2u) != 0u);
    return choose(even, slide_1(even), (first_w & 1u) != 0u);
}

fn store(pixel: u32, inside: bool, channel4: u32, value: vec4<f32>) {
    if inside && channel4 < params.c_out / 4u {
        y[pixel * (params.c_out / 4u) + channel4] = value;
    }
}

// Four channels of four neighbouring pixels.
fn store_4(pixel: u32, count: u32, channel4: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
    store(pixel, 0u < count, channel4, vec4(a.x, b.x, c.x, d.x));
    store(pixel + 1u, 1u < count, channel4, vec4(a.y, b.y, c.y, d.y));
    store(pixel + 2u, 2u < count, channel4, vec4(a.z, b.z, c.z, d.z));
    store(pixel + 3u, 3u < count, channel4, vec4(a.w, b.w, c.w, d.w));
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let strips_w = (params.w_out + STRIP - 1u) / STRIP;
    let strips = params.n * params.h_out * strips_w;
    let blocks = (params.c_out + CHANNELS - 1u) / CHANNELS;
    let tile = group_index(group, groups);
    let first_strip = tile / blocks * LANES;
    let first_channel = tile % blocks * CHANNELS;
    if first_strip >= strips {
        return;
    }
    // A strip past the end is computed as the last one and not stored.
    let strip = min(first_strip + lane, strips - 1u);
    let line = divide(strip, strips_w);
    let ow = (strip - line * strips_w) * STRIP;
    let n = divide(line, params.h_out);
    let first_h = (line - n * params.h_out) * params.stride_h - params.pad_h;
    let first_w = ow - params.pad_w;
    let channel2 = min(first_channel / 2u + lane, params.c_out / 2u - 1u);
    var acc = Strip();
    for (var kh = 0u; kh < params.k_h; kh++) {
        let ih = first_h + kh * params.dilation_h;
        let inside_h = ih < params.h_in;
        let line_x = n * params.h_in + ih;
        var a = pixels(line_x, first_w, inside_h);
        var from_weight = kh * params.k_w * (params.c_out / 2u) + channel2;
        for (var kw = 0u; kw < params.k_w; kw++) {
            outer(&acc, weight[from_weight], a[0], a[1]);
            a = slide_1(a);
            from_weight += params.c_out / 2u;
        }
    }
    let shift = bias[channel2];
    let shift0 = subgroupBroadcast(shift.x, 0u);
    let shift1 = subgroupBroadcast(shift.y, 0u);
    let shift2 = subgroupBroadcast(shift.x, 1u);
    let shift3 = subgroupBroadcast(shift.y, 1u);
    let shift4 = subgroupBroadcast(shift.x, 2u);
    let shift5 = subgroupBroadcast(shift.y, 2u);
    let shift6 = subgroupBroadcast(shift.x, 3u);
    let shift7 = subgroupBroadcast(shift.y, 3u);
    let shift8 = subgroupBroadcast(shift.x, 4u);
    let shift9 = subgroupBroadcast(shift.y, 4u);
    let shift10 = subgroupBroadcast(shift.x, 5u);
    let shift11 = subgroupBroadcast(shift.y, 5u);
    let shift12 = subgroupBroadcast(shift.x, 6u);
    let shift13 = subgroupBroadcast(shift.y, 6u);
    let shift14 = subgroupBroadcast(shift.x, 7u);
    let shift15 = subgroupBroadcast(shift.y, 7u);
    let pixel = line * params.w_out + ow;
    let count = select(0u, params.w_out - ow, first_strip + lane < strips);
    store_4(pixel, count, first_channel / 4u, acc[0] + shift0, acc[2] + shift1, acc[4] + shift2, acc[6] + shift3);
    store_4(pixel + 4u, max(count, 4u) - 4u, first_channel / 4u, acc[1] + shift0, acc[3] + shift1, acc[5] + shift2, acc[7] + shift3);
    store_4(pixel, count, first_channel / 4u + 1u, acc[8] + shift4, acc[10] + shift5, acc[12] + shift6, acc[14] + shift7);
    store_4(pixel + 4u, max(count, 4u) - 4u, first_channel / 4u + 1u, acc[9] + shift4, acc[11] + shift5, acc[13] + shift6, acc[15] + shift7);
    store_4(pixel, count, first_channel / 4u + 2u, acc[16] + shift8, acc[18] + shift9, acc[20] + shift10, acc[22] + shift11);
    store_4(pixel + 4u, max(count, 4u) - 4u, first_channel / 4u + 2u, acc[17] + shift8, acc[19] + shift9, acc[21] + shift10, acc[23] + shift11);
    store_4(pixel, count, first_channel / 4u + 3u, acc[24] + shift12, acc[26] + shift13, acc[28] + shift14, acc[30] + shift15);
    store_4(pixel + 4u, max(count, 4u) - 4u, first_channel / 4u + 3u, acc[25] + shift12, acc[27] + shift13, acc[29] + shift14, acc[31] + shift15);
}
