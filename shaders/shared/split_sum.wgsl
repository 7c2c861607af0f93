// The gradient of an element where some parts of it are still cut into splits. A segment is `[start, len, splits, offset]`:
// the gradient of element start + k is the sum over s of partials[offset + s*len + k], from 0, in the order of s. Elsewhere it
// is in `grad`. Segments come in order and do not overlap.

fn gradient(i: u32) -> f32 {
    // Most parameters are those of dense layers, behind all segments.
    if i >= params.segments_end {
        return grad[i];
    }
    for (var number = 0u; number < params.segment_count; number++) {
        let segment = params.segments[number];
        // Before the segment it wraps to a huge number.
        let k = i - segment.x;
        if k < segment.y {
            var sum = 0.0;
            for (var split = 0u; split < segment.z; split++) {
                sum += partials[segment.w + split * segment.y + k];
            }
            return sum;
        }
    }
    return grad[i];
}
