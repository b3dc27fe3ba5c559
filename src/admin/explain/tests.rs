//! Explanations word for word: what was played with the doubles of the queue is told as a person would want to hear it.
