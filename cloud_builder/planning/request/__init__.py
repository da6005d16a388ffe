"""A request as a whole.

expand        accepted request + graph → jobs
supersede     a push + older open pushes of the branch → which jobs end
outcome       jobs → `request.finished`
result_size   which job results fit into one message
"""
