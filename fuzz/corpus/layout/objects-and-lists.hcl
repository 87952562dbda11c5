a={b=1,c=2}
d = { "e"=1
(f)=2,
 g : 3 }
h = [1,2,3 ,4]
i = []
j={}
k = [ for x in [1]:x if x>1 ]
l = {for k,v in m:k=>v...}
