//! Which test holds which decision and which row of `contracts/push.md` that this dialect answers for. What is not here (rows 35, 42
//! and 44, the read marks of decision 2) is held by the tests of the parts that do it.
