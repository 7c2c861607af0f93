// A subgroup's tile of a matrix product C[M, N] += A[M, K] B[K, N], for software adapters.
//
// There a load costs as much as some thirty multiply-adds, whether its lanes read one address or
// eight, and a barrier as much as ten loads. So: no workgroup memory, no barriers, a workgroup of
// one subgroup, and as many products to a load as registers hold. For each k, lane i loads A of
// rows i, 8 + i, 16 + i and 24 + i (four loads for 32 rows) and B of columns i and 8 + i (two loads
// for 16 columns); the rows' values then travel between lanes by subgroupBroadcast with a constant
// lane, which costs one shuffle. 512 multiply-adds to six loads.
//
// It runs on any adapter whose subgroups have at least 8 lanes; the lanes beyond 8 stay unused.

const LANES: u32 = 8;
const ROWS: u32 = 32;
const COLUMNS: u32 = 16;

// Eight rows of C; a lane holds its two columns of each.
alias Rows8 = array<vec2<f32>, 8>;

// C += a b for eight rows: lane i has the value of row i, and of its own two columns.
fn outer_8(acc: ptr<function, Rows8>, a: f32, b: vec2<f32>) {
    (*acc)[0] += subgroupBroadcast(a, 0u) * b;
    (*acc)[1] += subgroupBroadcast(a, 1u) * b;
    (*acc)[2] += subgroupBroadcast(a, 2u) * b;
    (*acc)[3] += subgroupBroadcast(a, 3u) * b;
    (*acc)[4] += subgroupBroadcast(a, 4u) * b;
    (*acc)[5] += subgroupBroadcast(a, 5u) * b;
    (*acc)[6] += subgroupBroadcast(a, 6u) * b;
    (*acc)[7] += subgroupBroadcast(a, 7u) * b;
}
