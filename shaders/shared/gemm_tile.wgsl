// A workgroup's tile of a matrix product C[M, N] += A[M, K] B[K, N].
//
// A workgroup owns BM x BN elements of C and walks K in steps of BK: it stages BM x BK of A and
// BK x BN of B in workgroup memory, then every invocation multiplies them into its TM x TN = 4 x 4
// elements of C, held in registers. Both tiles are stored by K, four neighbouring rows of A (or
// columns of B) to a vec4, so that the product reads two vec4 per 16 multiply-adds. A vec4 is
// always stored whole: storing one component may rewrite its neighbours.

override BM: u32 = 64;
override BN: u32 = 32;
override BK: u32 = 16;

const TILE: u32 = 4;

var<workgroup> a_tile: array<vec4<f32>, BK * BM / TILE>;
var<workgroup> b_tile: array<vec4<f32>, BK * BN / TILE>;

// One row of C to a vec4.
alias Accumulators = array<vec4<f32>, TILE>;

fn multiply_tiles(acc: ptr<function, Accumulators>, row4: u32, column4: u32) {
    for (var k = 0u; k < BK; k++) {
        let a = a_tile[k * (BM / TILE) + row4];
        let b = b_tile[k * (BN / TILE) + column4];
        (*acc)[0] += a.x * b;
        (*acc)[1] += a.y * b;
        (*acc)[2] += a.z * b;
        (*acc)[3] += a.w * b;
    }
}
